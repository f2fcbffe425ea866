/// What a configuration may grow to. Each is far beyond use and small enough that a slip, or a file that is none of
/// ours, costs neither memory nor time.
public enum ConfigurationLimits {
    /// Bytes of one file.
    public static let fileBytes = 1 << 20
    /// Levels of nesting in a file; ours need eight.
    public static let depth = 20
    /// Files in one folder or list.
    public static let files = 4096
    public static let versions = 64
    public static let serversOfVersion = 256
    public static let listenAddresses = 16
    public static let steps = 64
    public static let checks = 64
    public static let arguments = 64
    public static let groups = 64
    /// The most statuses of a check of errors, and of an arm in a policy test.
    public static let statuses = 64
    public static let matches = 64
    /// Looked through once for each connection.
    public static let trustedNetworks = 256
    /// Answers or probes in a row.
    public static let threshold = 1000
    /// Connections, or requests, of a service: more than a machine holds.
    public static let connections = 10_000_000
    /// Bytes that a service may buffer.
    public static let buffer = 1 << 40
    /// Samples, and bytes, of a metrics page. Up to 64 of them are taken in at once.
    public static let scrapeSamples = 200_000
    public static let scrapeBody = (bytes: 64 << 20, text: "64MiB")
    /// Methods, and paths, of the judged requests.
    public static let judged = 256
    public static let scenarios = 256
    public static let phases = 256
    /// Characters of a name: it goes into addresses and labels.
    public static let name = 63
    /// Bytes of a Unix socket's path: `sun_path` less its ending zero.
    public static let socketPath = 107
    /// Diagnostics of one file that are shown; a file with more is not one of ours.
    public static let diagnostics = 100
}
