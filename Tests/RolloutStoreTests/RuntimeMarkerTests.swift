import Glibc
import PolicyModel
import RolloutEngine
import Testing

@testable import RolloutStore

@Suite struct RuntimeMarkerTests {
    let directory = TemporaryDirectory()

    @Test("Marks outlive the marker, the newest of a service counts, and clearing removes one")
    func roundTrip() throws {
        var a = Scene("a")
        var b = Scene("b/../c d")
        let marker = RuntimeMarker(directory: directory.file("run"))
        #expect(marker.marked().isEmpty)
        #expect(marker.mark(a.start().state))
        #expect(marker.mark(b.start().state))
        #expect(marker.mark(a.feed(.command(Command(.revert(to: nil, force: false), by: "ann"))).state))
        let again = RuntimeMarker(directory: directory.file("run"))
        #expect(again.marked() == [a.state, b.state])
        again.clear(service: "a")
        again.clear(service: "a")
        #expect(marker.marked() == [b.state])
        #expect(directory.names() == ["run"])
    }

    @Test("Files that cannot be read are ignored with a warning that names them")
    func unreadable() throws {
        var a = Scene("a")
        let marker = RuntimeMarker(directory: directory.path)
        #expect(marker.mark(a.start().state))
        write(Array("{\"half\":".utf8), to: directory.file("b.lowered.json"))
        write(bytes(of: directory.file("a.lowered.json")), to: directory.file("c.lowered.json"))
        write(Array("noise".utf8), to: directory.file("a.lowered.json.new"))
        mkdir(directory.file("d.lowered.json"), 0o700)
        truncate(directory.file("e.lowered.json"), 0)
        let (states, warnings) = marker.read()
        #expect(states == [a.state])
        #expect(warnings.count == 3)
        for (warning, name) in zip(warnings, ["b", "c", "d"]) {
            #expect(warning.hasPrefix(directory.file("\(name).lowered.json: a lowered split cannot be read")))
        }
    }

    @Test("A place that cannot be written says so")
    func notWritable() throws {
        write([1], to: directory.file("file"))
        let marker = RuntimeMarker(directory: directory.file("file"))
        var a = Scene("a")
        #expect(marker.mark(a.start().state) == false)
        #expect(marker.marked().isEmpty)
    }
}
