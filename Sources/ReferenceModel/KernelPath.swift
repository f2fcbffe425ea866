import CKernels

/// Which copy of the kernels runs. All give the same bits; they differ in speed.
public enum KernelPath: String, CaseIterable, Hashable, Sendable {
    case portable, avx2, avx512

    /// The widest that this processor can run.
    public static let best = KernelPath(ck_best())

    public var isSupported: Bool { ck_supports(raw) != 0 }

    var raw: ck_path {
        switch self {
        case .portable: CK_PORTABLE
        case .avx2: CK_AVX2
        case .avx512: CK_AVX512
        }
    }

    private init(_ raw: ck_path) { self = Self.allCases.first { $0.raw == raw } ?? .portable }
}
