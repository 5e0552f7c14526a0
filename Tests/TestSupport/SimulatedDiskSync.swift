import Glibc
import ResyncCore
import ResyncStorage

/// Making things durable, and failing to.
extension State {
    /// What a sync that works does: the bytes or names become durable and, unless only the data is
    /// asked for, the attributes.
    mutating func sync(_ descriptor: Descriptor, dataOnly: Bool = false) throws(Refusal) {
        let (file, object) = try usable(descriptor)
        guard object.file != nil || object.directory != nil else { throw Refusal(EINVAL) }
        if mount(of: object).isReadOnly, isUnsynced(object) { throw Refusal(EROFS) }
        var seen = file.failuresSeen
        let failure = objects[object.id]?.failure.report(since: &seen)
        descriptors[descriptor.number]?.failuresSeen = seen
        makeDurable(object.id, dataOnly: dataOnly)
        syncs += 1
        if let failure { throw Refusal(failure) }
    }

    mutating func syncFileSystem(_ descriptor: Descriptor) throws(Refusal) {
        let (file, object) = try usable(descriptor)
        let onMount = objects.values.filter { $0.mount == object.mount }
        if mount(of: object).isReadOnly, onMount.contains(where: isUnsynced) {
            throw Refusal(EROFS)
        }
        var seen = file.mountFailuresSeen
        let failure = mountFailures[object.mount].report(since: &seen)
        descriptors[descriptor.number]?.mountFailuresSeen = seen
        makeNamesDurable(onMount: object.mount)
        for one in onMount {
            objects[one.id]?.file?.makeDurable()
            objects[one.id]?.makeAttributesDurable()
        }
        syncs += 1
        if let failure { throw Refusal(failure) }
    }

    private mutating func makeDurable(_ id: ObjectID, dataOnly: Bool) {
        if object(id).directory != nil {
            makeNamesDurable(id)
        } else {
            objects[id]?.file?.makeDurable()
        }
        if !dataOnly { objects[id]?.makeAttributesDurable() }
    }

    private func isUnsynced(_ object: Object) -> Bool {
        if !object.attributeChanges.isEmpty { return true }
        if let file = object.file { return !file.unsynced.isEmpty }
        return nameChanges.contains { change in
            change.durability == .pending
                && change.slots.contains { $0.directory == object.id }
        }
    }

    /// What a sync that fails leaves behind: nothing dirty, and nothing written. This descriptor
    /// has heard of it; the others will.
    mutating func failSync(_ kind: SystemCall, _ descriptor: Descriptor, _ number: Int32) {
        guard let file = descriptors[descriptor.number] else { return }
        syncs += 1
        let mount = object(file.object).mount
        if kind == .syncfs {
            for object in objects.values where object.mount == mount && isUnsynced(object) {
                loseUnsynced(object.id, number)
            }
            var seen = file.mountFailuresSeen
            _ = mountFailures[mount].report(since: &seen)
            descriptors[descriptor.number]?.mountFailuresSeen = seen
        } else {
            loseUnsynced(file.object, number)
            var seen = file.failuresSeen
            _ = objects[file.object]?.failure.report(since: &seen)
            descriptors[descriptor.number]?.failuresSeen = seen
        }
    }

    mutating func loseUnsynced(_ id: ObjectID, _ number: Int32) {
        objects[id]?.failure.record(number)
        mountFailures[object(id).mount].record(number)
        objects[id]?.file?.loseUnsynced()
        forgetNameChanges(in: id)
    }
}
