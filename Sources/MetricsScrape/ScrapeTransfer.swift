import Analysis
import CCurl
import Glibc
import PlainText
import PolicyModel
import PrometheusText

/// One scrape under way. Confined to the loop's thread; libcurl calls back on it.
final class ScrapeTransfer {
    let target: ScrapeTarget
    let startedAt: Int64
    let easy: UnsafeMutableRawPointer
    private let limits: ScrapeLimits
    private let maxBody: Int
    private var body: [UInt8] = []
    private var headBytes = 0
    private var code = CURLE_OK
    /// The reason why this side aborted the transfer; nil if it did not.
    private var refusal: String?
    /// The buffer into which libcurl writes the message of an error.
    private let errorText: UnsafeMutablePointer<CChar>

    init?(target: ScrapeTarget, limits: ScrapeLimits, startedAt: Int64) {
        guard let easy = curl_easy_init() else { return nil }
        self.target = target
        self.limits = limits
        maxBody = target.maxBody ?? limits.body
        self.startedAt = startedAt
        self.easy = easy
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        configure()
    }

    deinit {
        curl_easy_cleanup(easy)
        errorText.deallocate()
    }

    private func configure() {
        // The handle is freed together with this object, so its pointer to the object need not retain it.
        let context = Unmanaged.passUnretained(self).toOpaque()
        _ = ccurl_set_text(easy, CURLOPT_URL, target.url)
        _ = ccurl_set_text(easy, CURLOPT_PROTOCOLS_STR, "http")
        _ = ccurl_set_long(easy, CURLOPT_PATH_AS_IS, 1)
        _ = ccurl_set_long(easy, CURLOPT_FOLLOWLOCATION, 0)
        // An empty proxy also overrides http_proxy of the environment.
        _ = ccurl_set_text(easy, CURLOPT_PROXY, "")
        _ = ccurl_set_long(easy, CURLOPT_NETRC, Int(CURL_NETRC_IGNORED.rawValue))
        _ = ccurl_set_long(easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        _ = ccurl_set_text(easy, CURLOPT_ACCEPT_ENCODING, "gzip")
        _ = ccurl_set_text(easy, CURLOPT_USERAGENT, "canaryd")
        // Signals belong to the agent.
        _ = ccurl_set_long(easy, CURLOPT_NOSIGNAL, 1)
        _ = ccurl_set_long(easy, CURLOPT_TIMEOUT_MS, max(1, Int(target.timeout.nanoseconds / 1_000_000)))
        _ = ccurl_set_pointer(easy, CURLOPT_ERRORBUFFER, errorText)
        _ = ccurl_set_data_callback(easy, CURLOPT_WRITEFUNCTION) { data, size, count, context in
            ScrapeTransfer.from(context).take(data, size * count)
        }
        _ = ccurl_set_pointer(easy, CURLOPT_WRITEDATA, context)
        _ = ccurl_set_data_callback(easy, CURLOPT_HEADERFUNCTION) { _, size, count, context in
            ScrapeTransfer.from(context).takeHead(size * count)
        }
        _ = ccurl_set_pointer(easy, CURLOPT_HEADERDATA, context)
        _ = ccurl_set_progress_callback(easy) { context, _, downloaded, _, _ in
            ScrapeTransfer.from(context).mayContinue(downloaded) ? 0 : 1
        }
        _ = ccurl_set_pointer(easy, CURLOPT_XFERINFODATA, context)
        _ = ccurl_set_long(easy, CURLOPT_NOPROGRESS, 0)
    }

    private static func from(_ context: UnsafeMutableRawPointer?) -> ScrapeTransfer {
        Unmanaged<ScrapeTransfer>.fromOpaque(context!).takeUnretainedValue()
    }

    /// Receives inflated bytes of the body, at most 16 KiB at a time, so that a small response that inflates without
    /// end stops at the limit.
    /// - Returns: `count`; any other number makes libcurl abort the transfer.
    private func take(_ data: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
        guard body.count + count <= maxBody else {
            refusal = tooLarge
            return 0
        }
        body.append(contentsOf: UnsafeRawBufferPointer(start: data, count: count))
        return count
    }

    /// Counts the bytes of status line and headers.
    /// - Returns: `count`; any other number makes libcurl abort the transfer.
    private func takeHead(_ count: Int) -> Int {
        headBytes += count
        guard headBytes <= limits.head else {
            refusal = "the response's headers are larger than \(limits.head) bytes"
            return 0
        }
        return count
    }

    /// Checks the number of bytes received on the wire, since compressed bytes may arrive without end and inflate to
    /// nothing.
    private func mayContinue(_ downloaded: Int) -> Bool {
        guard downloaded > maxBody else { return true }
        refusal = tooLarge
        return false
    }

    private var tooLarge: String {
        "the response is larger than \(maxBody) bytes: let the server show fewer series, or raise the version's metrics.maxBody"
    }

    /// The size of the inflated body in bytes, a measure of the work to read it.
    var size: Int { body.count }

    /// Records libcurl's result of the transfer.
    func end(_ code: CURLcode) { self.code = code }

    /// Reads the response; valid after `end`.
    func outcome() -> ScrapeOutcome {
        if let refusal { return .failure(refusal) }
        guard code == CURLE_OK else { return .failure(explanation(code)) }
        let status = ccurl_response_code(easy)
        if let destination = ccurl_redirect_url(easy) {
            return .failure(
                "answered \(status), a redirect to \(Self.printable(String(cString: destination))); redirects "
                    + "are not followed: set the metrics' path and port to where they are")
        }
        guard status == 200 else { return .failure("answered \(status) instead of 200") }
        // libcurl inflates a response only if its headers say that it is compressed.
        guard !body.starts(with: [0x1F, 0x8B]) else {
            return .failure(
                "the response is compressed with gzip and does not say so: have the server send the header "
                    + "Content-Encoding: gzip, or no compression")
        }
        let contentType = ccurl_content_type(easy).map { String(cString: $0) }
        guard contentType?.lowercased().hasPrefix("application/json") != true else {
            return .failure(
                "the response is JSON and not Prometheus text: set metrics.path to where the server has its metrics "
                    + "for Prometheus")
        }
        let format = contentType.map { ExpositionFormat(contentType: $0) }
        var parsing = ExpositionLimits()
        parsing.samples = target.maxSamples ?? limits.samples
        let exposition: Exposition
        do throws(ExpositionError) {
            exposition = try ExpositionParser.parse(body, as: format ?? .prometheus, limits: parsing)
        } catch  where error.isTooMany {
            return .failure(
                "the response has \(error.reason): let the server show fewer series, or raise the version's "
                    + "metrics.maxSamples")
        } catch {
            return .failure("the response is not Prometheus text: \(error)")
        }
        let reader = SampleReader(
            preset: target.preset.flatMap(MetricsPreset.named), model: target.model, queries: target.queries)
        do throws(UnusableScrape) {
            return .sample(try reader.read(exposition, at: startedAt, wall: Self.wall))
        } catch {
            return .failure(error.description)
        }
    }

    /// The wall clock, in milliseconds since 1970.
    private static var wall: Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) * 1000 + Double(time.tv_nsec) * 1e-6
    }

    private func explanation(_ code: CURLcode) -> String {
        if code == CURLE_OPERATION_TIMEDOUT { return "no whole reply within \(target.timeout.written)" }
        let own = String(cString: errorText)
        let words = Self.printable(own.isEmpty ? String(cString: curl_easy_strerror(code)) : own)
        return switch code {
        case CURLE_COULDNT_RESOLVE_HOST: "\(words): check the server's name in the service's file"
        case CURLE_COULDNT_CONNECT: "\(words): is the server up, and is this its metrics port?"
        default: words
        }
    }

    /// Shortens a text from outside and makes it displayable, since it goes to logs and terminals.
    private static func printable(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.prefix(200))).displayable
    }
}
