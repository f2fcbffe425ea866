import PolicyModel
import Testing

@Suite("Weight", .timeLimit(.minutes(15)))
struct WeightTests {
    @Test("Basis points outside 0 to 10000 are no weight, and clamp to the nearest")
    func range() {
        #expect(Weight(basisPoints: -1) == nil)
        #expect(Weight(basisPoints: 10_001) == nil)
        #expect(Weight(basisPoints: 0) == .zero)
        #expect(Weight(basisPoints: 10_000) == .full)
        #expect(Weight(clamping: -5) == .zero)
        #expect(Weight(clamping: 70_000) == .full)
    }

    @Test(
        "A weight is written as a percentage without needless digits",
        arguments: [
            (0, "0%"), (1, "0.01%"), (10, "0.1%"), (25, "0.25%"), (105, "1.05%"), (150, "1.5%"), (2500, "25%"),
            (10_000, "100%"),
        ])
    func written(_ points: Int, _ text: String) {
        #expect(Weight(clamping: points).description == text)
    }

    @Test("A weight and its complement make the whole, and order follows the share")
    func complement() {
        for points in stride(from: 0, through: 10_000, by: 7) {
            let weight = Weight(clamping: points)
            #expect(weight.basisPoints + weight.complement.basisPoints == 10_000)
            #expect(weight.complement.complement == weight)
        }
        #expect(Weight(clamping: 99) < Weight(clamping: 100))
        #expect(Weight(clamping: 2500).fraction == 0.25)
    }
}
