import CKernels

/// The variant of the kernels to run. All variants give the same results bit for bit; they differ in speed.
public enum KernelPath: String, CaseIterable, Hashable, Sendable {
    case portable, avx2, avx512

    /// The widest variant that this processor supports.
    public static let best = KernelPath(ck_best())

    var raw: ck_path {
        switch self {
        case .portable: CK_PORTABLE
        case .avx2: CK_AVX2
        case .avx512: CK_AVX512
        }
    }

    private init(_ raw: ck_path) { self = Self.allCases.first { $0.raw == raw } ?? .portable }
}
