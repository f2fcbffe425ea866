import PolicyModel

/// Reads listen addresses and server addresses of configurations.
enum Addresses {
    /// Reads `127.0.0.1:8080`, `[::1]:8080`, `unix:PATH` or `systemd:NAME`. Unix paths are relative to `base`.
    static func listen(_ text: String, base: String) throws(InvalidValue) -> ListenAddress {
        if text.hasPrefix("unix:") {
            return .unix(path: try socketPath(String(text.dropFirst(5)), base: base))
        }
        if text.hasPrefix("systemd:") {
            let name = String(text.dropFirst(8))
            guard !name.isEmpty, name.count <= 255, name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != 0x3a })
            else { throw InvalidValue("names no socket: write systemd: and the unit's FileDescriptorName=") }
            return .systemd(name: name)
        }
        if text.contains("://") { throw InvalidValue("is a URL: write host and port alone, such as 127.0.0.1:8080") }
        if text.hasPrefix(":"), !text.hasPrefix("::") {
            throw InvalidValue("has no host: write 0.0.0.0\(text) for all, 127.0.0.1\(text) for local")
        }
        if UInt16(text) != nil {
            throw InvalidValue("has no host: write 0.0.0.0:\(text) for all, 127.0.0.1:\(text) for local")
        }
        let (host, port) = try hostAndPort(text, example: "127.0.0.1:8080")
        guard let port else { throw InvalidValue("has no port: write \(text):8080") }
        return .tcp(host: host, port: port)
    }

    /// True if only this host can reach a listener on a host of `listen`. Other names than localhost are not looked up.
    static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        return host.hasPrefix("127.") && host.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2e }
    }

    /// True if two listeners cannot be open at the same time: both have the same port, on the same address or one of them
    /// on all addresses. Port 0 is another port each time.
    static func collide(_ first: ListenAddress, _ second: ListenAddress) -> Bool {
        guard case .tcp(let host, let port) = first, case .tcp(let other, port) = second else { return first == second }
        guard port != 0 else { return false }
        let wildcards = ["0.0.0.0", "::"]
        func known(_ host: String) -> String { host == "localhost" ? "127.0.0.1" : host }
        return wildcards.contains(host) || wildcards.contains(other) || known(host) == known(other)
    }

    static func socketPath(_ path: String, base: String) throws(InvalidValue) -> String {
        guard !path.isEmpty else { throw InvalidValue("has no path: write one such as /run/canaryd/admin.sock") }
        let full = FilePaths.absolute(path, base: base)
        guard full.utf8.count <= ConfigurationLimits.socketPath else {
            throw InvalidValue(
                "is \(full.utf8.count) bytes long in full: a socket's path has at most \(ConfigurationLimits.socketPath)"
            )
        }
        return full
    }

    /// Reads `http://127.0.0.1:9001`, or `reference:fp32` for the embedded server. An artifact with a `/` is a path.
    static func server(_ text: String, base: String) throws(InvalidValue) -> ServerAddress {
        if text.hasPrefix("reference:") {
            let artifact = String(text.dropFirst(10))
            guard !artifact.isEmpty else { throw InvalidValue("names no artifact: write reference:NAME") }
            if artifact.contains("/") { return .reference(artifact: FilePaths.absolute(artifact, base: base)) }
            return .reference(artifact: try Names.checked(artifact))
        }
        if text.hasPrefix("https://") {
            throw InvalidValue(
                "asks for TLS, which comes with a later release: write http:// and keep it on a trusted network")
        }
        guard text.hasPrefix("http://") else {
            let start = text.contains("://") ? "is no http server" : "has no scheme"
            throw InvalidValue("\(start): write http://HOST:PORT or reference:NAME")
        }
        let authority = text.dropFirst(7)
        if let cut = authority.firstIndex(where: { "/?#".contains($0) }) {
            throw InvalidValue(
                "has a path: requests keep the path that the client sent; write http://\(authority[..<cut])")
        }
        if let at = authority.lastIndex(of: "@") {
            throw InvalidValue("has a user in it: write http://\(authority[authority.index(after: at)...])")
        }
        let (host, port) = try hostAndPort(String(authority), example: "http://127.0.0.1:9001")
        if port == 0 { throw InvalidValue("has port 0: write the port that the server listens on") }
        return .http(host: host, port: port ?? 80)
    }

    private static func hostAndPort(_ text: String, example: String) throws(InvalidValue) -> (
        host: String, port: UInt16?
    ) {
        var host = Substring(text)
        var digits: Substring?
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else {
                throw InvalidValue("has no closing ']': write \(example)")
            }
            let after = text[text.index(after: close)...]
            host = text[text.index(after: text.startIndex)..<close]
            guard host.contains(":"), host.utf8.allSatisfy({ isHexadecimal($0) || $0 == 0x3a || $0 == 0x2e }) else {
                throw InvalidValue("holds no IPv6 address in its brackets: write [::1]:8080")
            }
            if !after.isEmpty {
                guard after.hasPrefix(":") else { throw InvalidValue("goes on after the ']': write [\(host)]:8080") }
                digits = after.dropFirst()
            }
        } else if let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            digits = text[text.index(after: colon)...]
            if host.contains(":") {
                throw InvalidValue("is ambiguous: put the IPv6 address in brackets, as in [::1]:8080")
            }
        }
        guard !host.isEmpty, host.utf8.count <= 253,
            host.utf8.allSatisfy({ Names.isAlphanumeric($0) || ":.-_".utf8.contains($0) })
        else { throw InvalidValue("has no valid host: write \(example)") }
        if host.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == 0x2e }) { try checkIPv4(host, example: example) }
        guard let digits else { return (host.lowercased(), nil) }
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(digits) else {
            throw InvalidValue("has no valid port: write a number from 0 to 65535, as in \(example)")
        }
        return (host.lowercased(), port)
    }

    private static func checkIPv4(_ host: Substring, example: String) throws(InvalidValue) {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4, parts.allSatisfy({ $0.count <= 3 && UInt8($0) != nil }) else {
            throw InvalidValue("is no IPv4 address: write \(example)")
        }
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
    }
}
