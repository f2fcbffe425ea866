/// Made by gzip, beforehand: the tests link no compressor.
enum Gzip {
    /// `x 1` and a newline.
    static let x1: [UInt8] = [31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 80, 48, 228, 2, 0, 35, 255, 10, 145, 4, 0, 0, 0]

    /// 1 MiB of `#` in about a thousand bytes.
    static let mebibyteOfHashes: [UInt8] =
        [31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 237, 193, 49, 1, 0, 0, 0, 194, 160, 48, 235, 223, 209, 16, 190, 64, 1]
        + [UInt8](repeating: 0, count: 1015) + [124, 6, 3, 138, 184, 181, 0, 0, 16, 0]
}
