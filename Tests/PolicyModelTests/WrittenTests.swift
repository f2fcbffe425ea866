import PolicyModel
import Testing

@Suite("As files and people write it", .timeLimit(.minutes(15)))
struct WrittenTests {
    @Test(
        "A duration is written as policies write it",
        arguments: [
            (Duration.zero, "0s"), (.milliseconds(250), "250ms"), (.microseconds(1500), "1.5ms"),
            (.milliseconds(1500), "1.5s"), (.seconds(59), "59s"), (.seconds(60), "1m"), (.seconds(90), "1m30s"),
            (.seconds(5400), "1h30m"), (.seconds(86_400), "1d"), (.seconds(7 * 86_400), "7d"),
            (.seconds(90_000), "25h"),
            (.seconds(-5), "-5s"),
        ])
    func duration(_ value: Duration, _ text: String) {
        #expect(value.written == text)
    }

    @Test("Seconds and nanoseconds of a duration, clamped where they do not fit")
    func numbers() {
        #expect(Duration.milliseconds(250).seconds == 0.25)
        #expect(Duration.milliseconds(-250).nanoseconds == -250_000_000)
        #expect(Duration.seconds(Int64.max / 2).nanoseconds == .max)
        #expect(Duration.seconds(Int64.min / 2).nanoseconds == .min)
    }

    @Test("A diagnostic shows its place, its line and a caret below the column")
    func diagnostic() {
        let whole = Diagnostic(
            file: "a.yaml", line: 3, column: 9, message: "'5' has no unit: write 5s or 5m", excerpt: "  hold: 5")
        #expect(
            whole.description == """
                a.yaml:3:9: error: '5' has no unit: write 5s or 5m
                      hold: 5
                            ^
                """)
        let file = Diagnostic(file: "a.yaml", severity: .warning, message: "is empty")
        #expect(file.description == "a.yaml: warning: is empty")
    }

    @Test("The caret stays below its column behind tabs and letters of several bytes")
    func caret() {
        let tabs = Diagnostic(file: "a", line: 1, column: 3, message: "m", excerpt: "\tbx")
        #expect(tabs.description.hasSuffix("\n     bx\n      ^"))
        let wide = Diagnostic(file: "a", line: 1, column: 5, message: "m", excerpt: "é: ü5")
        #expect(wide.description.hasSuffix("\n        ^"))
    }

    @Test("Addresses, identities and groups are written as files write them")
    func names() {
        #expect(ListenAddress.tcp(host: "::1", port: 80).description == "[::1]:80")
        #expect(ListenAddress.unix(path: "/run/a.sock").description == "unix:/run/a.sock")
        #expect(ServerAddress.http(host: "::1", port: 9001).description == "http://[::1]:9001")
        #expect(ServerAddress.reference(artifact: "int8").description == "reference:int8")
        #expect(VersionIdentity(name: "int8", revision: "2").description == "int8@2")
        #expect(GroupSelector(attribute: "sex", value: "Female").description == "sex=Female")
    }
}
