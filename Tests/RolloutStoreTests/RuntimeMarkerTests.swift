import Glibc
import PolicyModel
import RolloutEngine
import Testing

@testable import RolloutStore

@Suite(.timeLimit(.minutes(15))) struct RuntimeMarkerTests {
    let directory = TemporaryDirectory()

    @Test("Marks outlive the marker, the newest of a service counts, and clearing removes one")
    func roundTrip() throws {
        var a = Scene("a")
        var b = Scene("b/../c d")
        let marker = RuntimeMarker(directory: directory.file("run"))
        #expect(marker.read().states.isEmpty)
        #expect(marker.mark(a.start().state))
        #expect(marker.mark(b.start().state))
        #expect(marker.mark(a.feed(.command(Command(.revert(to: nil, force: false), by: "ann"))).state))
        let again = RuntimeMarker(directory: directory.file("run"))
        #expect(again.read().states == [a.state.service: a.state, b.state.service: b.state])
        again.clear(service: "a")
        again.clear(service: "a")
        #expect(marker.read().states == [b.state.service: b.state])
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
        write([0], to: directory.file("n%c3%a4me%2ex.lowered.json"))
        let marks = marker.read()
        #expect(marks.states == ["a": a.state])
        #expect(marks.unreadable.keys.sorted() == ["b", "c", "d", "näme.x"])
        for name in ["b", "c", "d"] {
            let expected = directory.file("\(name).lowered.json: a lowered split cannot be read")
            #expect(marks.unreadable[name]?.hasPrefix(expected) == true)
        }
        for service in marks.unreadable.keys { marker.clear(service: service) }
        #expect(marker.read().unreadable.isEmpty)
    }

    @Test("A marker that was damaged, cut or has no checksum is not read as another state")
    func damaged() throws {
        var scene = Scene("a")
        let marker = RuntimeMarker(directory: directory.path)
        #expect(marker.mark(scene.start().state))
        let whole = bytes(of: directory.file("a.lowered.json"))
        let line = try #require(whole.firstIndex(of: UInt8(ascii: "\n")))
        // A digit that becomes another one is still JSON, with another weight or generation.
        let digits = whole[..<line].indices.filter { (0x30...0x39).contains(whole[$0]) }
        #expect(!digits.isEmpty)
        var damages = digits.map { place -> [UInt8] in
            var damaged = whole
            damaged[place] ^= 1
            return damaged
        }
        damages += [Array(whole[..<line]), Array(whole[...line]), Array(whole.dropLast()), whole + [0x0a]]
        for damaged in damages {
            write(damaged, to: directory.file("a.lowered.json"))
            let marks = marker.read()
            #expect(marks.states.isEmpty)
            #expect(marks.unreadable.keys.sorted() == ["a"], "\(String(decoding: damaged, as: UTF8.self))")
        }
        write(whole, to: directory.file("a.lowered.json"))
        #expect(marker.read().states == ["a": scene.state])
    }

    @Test("A place that cannot be written says so")
    func notWritable() throws {
        write([1], to: directory.file("file"))
        let marker = RuntimeMarker(directory: directory.file("file"))
        var a = Scene("a")
        #expect(marker.mark(a.start().state) == false)
        #expect(marker.read().states.isEmpty)
    }
}
