import ResyncCore
import ResyncStorage

/// One thread's hands on both stores.
final class Hand {
    private let sites: Sides<any Site>
    private let order: ChangeOrder
    private var changers: Sides<(any StoreChanger)?> = Sides(a: nil, b: nil)
    private var sources: Sides<(any StoreSource)?> = Sides(a: nil, b: nil)

    init(_ sites: Sides<any Site>, _ order: ChangeOrder) {
        self.sites = sites
        self.order = order
    }

    func changer(_ side: Side) -> any StoreChanger {
        if let known = changers[side] { return known }
        let made = sites[side].changer(order)
        changers[side] = made
        return made
    }

    var withoutExchange: [Side] {
        Side.allCases.filter { changers[$0]?.isWithoutExchange == true }
    }

    func source(_ side: Side) -> any StoreSource {
        if let known = sources[side] { return known }
        let made = sites[side].source()
        sources[side] = made
        return made
    }

    /// Whether a directory that is settled has no attributes but those it had before and those of
    /// the source's directory: one that somebody else gave it is nowhere else.
    func areKnown(
        _ found: [Attribute], of action: Action, before: [Attribute]
    ) throws(DiskError) -> Bool {
        // Where the source is not there, the target stands in its place, and has given nothing.
        guard let after = action.after, sites.a !== sites.b else {
            return found.allSatisfy(before.contains)
        }
        let given =
            try source(action.side.other).open(action.path, as: after)?.attributes() ?? []
        return found.allSatisfy { before.contains($0) || given.contains($0) }
    }
}

extension ApplyFolder {
    /// What a store needs to know of this run.
    var order: ChangeOrder {
        ChangeOrder(
            run: run.id, secret: state.secret, blockSize: plan.header.blockSize,
            aspects: plan.header.aspects, planned: plan.header.created)
    }

    func hand(_ sites: Sides<any Site>) -> Hand { Hand(sites, order) }

    /// What the run knows of what an action has made.
    func own(_ number: Int) -> OwnObjects {
        OwnObjects(placed: state.mark(number), directories: state.directories)
    }
}
