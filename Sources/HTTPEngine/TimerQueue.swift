/// A job that a loop runs at a time in the future.
public final class Timer {
    let deadline: Int64
    fileprivate var job: (() -> Void)?
    fileprivate var place = -1

    init(deadline: Int64, job: @escaping () -> Void) {
        self.deadline = deadline
        self.job = job
    }
}

/// A binary heap of timers by deadline. Timers know their index in it, so that cancellation takes logarithmic time.
struct TimerQueue {
    private var heap: [Timer] = []

    var nextDeadline: Int64 { heap.first?.deadline ?? .max }
    var count: Int { heap.count }

    mutating func insert(_ timer: Timer) {
        heap.append(timer)
        rise(heap.count - 1, timer)
    }

    mutating func remove(_ timer: Timer) {
        let place = timer.place
        guard place >= 0 else { return }
        timer.place = -1
        timer.job = nil
        let last = heap.removeLast()
        guard last !== timer else { return }
        sink(place, last)
        rise(last.place, last)
    }

    /// Removes the first timer that is due and returns its job; nil if none is due. The job may schedule and cancel
    /// timers before the next call.
    mutating func next(upTo now: Int64) -> (() -> Void)? {
        guard let first = heap.first, first.deadline <= now else { return nil }
        let job = first.job
        remove(first)
        return job
    }

    private mutating func rise(_ start: Int, _ timer: Timer) {
        var i = start
        while i > 0 {
            let parent = (i - 1) / 2
            guard heap[parent].deadline > timer.deadline else { break }
            heap[i] = heap[parent]
            heap[i].place = i
            i = parent
        }
        heap[i] = timer
        timer.place = i
    }

    private mutating func sink(_ start: Int, _ timer: Timer) {
        var i = start
        while true {
            var child = 2 * i + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1].deadline < heap[child].deadline { child += 1 }
            guard heap[child].deadline < timer.deadline else { break }
            heap[i] = heap[child]
            heap[i].place = i
            i = child
        }
        heap[i] = timer
        timer.place = i
    }
}
