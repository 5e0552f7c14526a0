import ArgumentParser
import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "The configuration of what is watched.",
        subcommands: [Check.self])

    struct Check: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say what a configuration means, and everything that is wrong with it.",
            discussion: """
                The status is 64 when it cannot be used, 2 when a store is not there. What state \
                will take is an upper bound, from what the file systems say they hold.
                """)

        @OptionGroup var file: ConfigurationOptions

        /// Seconds in which a store that lives has answered.
        private static let patience = 5.0

        mutating func execute() throws -> ExitStatus {
            let file = try ConfigurationFile(path: file.path)
            for mistake in file.mistakes { Main.complain(file.sentence(mistake)) }
            for line in file.remarks { Main.complain(line) }
            guard file.mistakes.isEmpty else { return .usage }
            var status = ExitStatus.ok
            var known: [(name: String, found: Found)] = []
            for pair in file.configuration.pairs {
                status.merge(try describe(pair, file.configuration.modules, &known))
            }
            try describe(file.configuration)
            return status
        }

        struct Found: Sendable {
            let kind: StoreFacts.Kind
            let identity: StoreIdentity
            /// Without symlinks.
            let place: [UInt8]
            /// Of a directory, what its file system holds.
            let bytes: Int
            let entries: Int
            let mount: String
        }

        private func describe(
            _ pair: Configuration.Pair, _ modules: [Module],
            _ known: inout [(name: String, found: Found)]
        ) throws -> ExitStatus {
            var (status, lines, stateBytes, bytes) = (ExitStatus.ok, ["pair \(pair.name)"], 0, 0)
            var kinds: Set<StoreFacts.Kind> = []
            for side in Side.allCases {
                let path = pair.stores[side].path
                do {
                    let facts = try answered(within: Self.patience, path) { try look(path) }
                    let probe = pair.stores[side].probes ? "" : ", not probed"
                    let isTree = facts.kind == .directory
                    lines.append(
                        "  \(side.letter)  \(escaped(path)): \(facts.kind.rawValue) on "
                            + facts.mount
                            + "\(isTree ? ", which holds" : ",") \(sizeText(facts.bytes))\(probe)")
                    let name = pair.storeName(side)
                    for (other, found) in known {
                        guard let words = facts.clash(with: found) else { continue }
                        lines.append("     CANNOT BE: \(name) \(words) \(other)")
                        status.merge(.trouble)
                    }
                    known.append((name, facts))
                    kinds.insert(isTree ? .directory : .file)
                    bytes = max(bytes, facts.bytes)
                    stateBytes += StateEstimate.bytes(
                        entries: facts.entries, content: facts.bytes)
                } catch {
                    lines.append(
                        "  \(side.letter)  \(escaped(path)): "
                            + (Main.explain(error)?.message ?? "\(error)"))
                    status.merge(.trouble)
                }
            }
            if kinds.count > 1 {
                lines.append("  CANNOT BE COMPARED: one is a directory, the other is none")
                status.merge(.trouble)
            } else if kinds == [.file] {
                for module in modules where module.pair == pair.name && module.kind == .copies {
                    lines.append(
                        "  CANNOT BE: module \(module.name) is no part of an image or device; "
                            + "only external modules can be of this pair")
                    status.merge(.trouble)
                }
            }
            lines.append("  settle \(durationText(pair.settle)), \(limits(pair))")
            for check in pair.checks {
                lines.append(
                    "  check \(check.name), each \(durationText(check.every)): "
                        + check.command.map { escaped($0) }.joined(separator: " "))
            }
            if status == .ok {
                lines.append("  state of up to \(sizeText(stateBytes))")
                lines += rereading(pair, bytes)
            }
            try StandardOutput.shared.write(lines.joined(separator: "\n") + "\n")
            return status
        }

        private func line(_ module: Module) -> String {
            let paths = module.paths.map { shown($0) }.joined(separator: ", ")
            let after =
                module.after.isEmpty ? "" : ", after \(module.after.joined(separator: ", "))"
            let hot = module.hot.isEmpty ? "" : ", first \(module.hot.joined(separator: ", "))"
            let isExternal = module.kind == .external
            return "module \(module.name): \(paths) of \(module.pair), weight "
                + "\(decimals(module.weight, 1)), "
                + (isExternal ? module.kind.rawValue : module.scope.rawValue) + after + hot
                + rules(module).map { ", \($0)" }.joined()
        }

        /// What else it says of a module, in words.
        private func rules(_ module: Module) -> [String] {
            var rules = module.policy.map { [$0.rawValue] } ?? []
            for (what, command) in [
                ("checked", module.check), ("prepared", module.prepare),
                ("finished", module.finish),
            ] {
                guard let command else { continue }
                rules.append("\(what) by " + command.map { escaped($0) }.joined(separator: " "))
            }
            if let lag = module.lag { rules.append("lag \(durationText(lag))") }
            if !module.expectations.isEmpty {
                rules.append(
                    "may differ: "
                        + module.expectations.map {
                            "\(escaped($0.text)) (\(escaped($0.reason.utf8)))"
                        }.joined(separator: ", "))
            }
            return rules
        }

        private func limits(_ pair: Configuration.Pair) -> String {
            let read = pair.readLimit.map { "\(sizeText($0))/s" } ?? "as fast as it goes"
            let windows =
                pair.windows.isEmpty
                ? "at any time" : pair.windows.map { $0.text }.joined(separator: ", ")
            let write = pair.writeLimit.map { ", write \(sizeText($0))/s" } ?? ""
            return "read \(read)\(write), \(windows)"
        }

        /// Whether all of it can be read again in time.
        private func rereading(_ pair: Configuration.Pair, _ bytes: Int) -> [String] {
            guard let age = pair.maximumAge else { return [] }
            guard let rate = pair.readLimit else {
                return ["  to be read again within \(durationText(age)): no read-limit is set"]
            }
            let share =
                pair.windows.isEmpty ? 1 : Double(pair.windows.minutes) / (24 * 60)
            let needed = Double(bytes) / Double(rate) / max(share, 0.0001)
            let verdict = needed <= age ? "can be" : "CANNOT BE"
            return [
                "  \(verdict) read again within \(durationText(age)): one reading of "
                    + "\(sizeText(bytes)) takes \(durationText(needed))"
            ]
        }

        private func describe(_ configuration: Configuration) throws {
            let watch = configuration.detector
            var lines = configuration.modules.map { line($0) }
            lines += [
                "watch: probed each \(durationText(watch.interval)), slow after "
                    + "\(durationText(watch.slow)), down after \(durationText(watch.hung)) "
                    + "without an answer, closed after \(durationText(watch.holdDown)) without "
                    + "trouble, up to \(durationText(watch.holdDownLimit)) after relapses"
            ]
            if let notification = configuration.notification {
                lines.append(
                    "notify: "
                        + notification.command.map { escaped($0) }.joined(separator: " ")
                        + ", killed after \(durationText(notification.timeout)), "
                        + (notification.repeats.map { "again each \(durationText($0))" }
                            ?? "not repeated"))
            } else {
                lines.append("notify: nobody")
            }
            try StandardOutput.shared.write(lines.joined(separator: "\n") + "\n")
        }
    }
}

extension ConfigCommand.Check.Found {
    /// Why both cannot be stores, however they are named; nil where they can.
    fileprivate func clash(with other: Self) -> String? {
        if identity == other.identity { return "is the same store as" }
        let isNested = isWithin(place, other.place) || isWithin(other.place, place)
        return isNested ? "lies in, or holds," : nil
    }
}

/// Opens a store and looks at what it lies on.
@Sendable private func look(_ path: [UInt8]) throws -> ConfigCommand.Check.Found {
    let site = try LocalSite(path: path, disk: LinuxDisk(), options: LocalSiteOptions())
    let system = site.facts.fileSystem
    let real = realPath(path) ?? path
    let mount = MachineSignals().mountTable()?.mount(holding: real)
    let place = mount.map {
        "\(escaped($0.fileSystemType)) at '\(escaped($0.mountPoint))'"
    }
    let used = cappedSum(system.blocks, -system.blocksFree)
    let isTree = site.facts.kind == .directory
    return ConfigCommand.Check.Found(
        kind: site.facts.kind, identity: site.identity, place: real,
        bytes: isTree ? max(0, used) * system.blockSize : site.facts.size,
        entries: isTree ? max(1, system.inodesUsed) : 1,
        mount: place ?? "a file system that is not in the mount table")
}

/// What a run, a kept manifest and a baseline take.
enum StateEstimate {
    /// Bytes of an entry with a path of usual length, in a manifest and in a baseline.
    private static let entry = 140
    private static let block = 32

    /// - Returns: bytes, for one side: a kept manifest, the one that replaces it, and a baseline.
    static func bytes(entries: Int, content: Int) -> Int {
        let digests = content / (1 << 20) * block
        return cappedSum(entries * entry * 3, digests * 3)
    }
}
