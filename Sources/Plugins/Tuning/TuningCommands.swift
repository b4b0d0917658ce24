internal import Attachment
public import CNI
internal import JSON
internal import Netlink
internal import NetworkTypes
public import PluginKit
internal import System

/// The `tuning` plugin: kernel parameters of a container's namespace, and its interface's MAC, MTU, modes and queue.
public struct TuningCommands: PluginCommands {
    /// The name the executable goes by.
    public let name = "tuning"
    let system: any HostSystem
    let files: any BackupFiles
    let allowList: String

    /// The plugin on a host.
    ///
    /// - Parameter allowList: the file that says which parameters may be set; none allows all.
    public init(
        system: any HostSystem, files: any BackupFiles = DiskFiles(),
        allowList: String = "/etc/cni/tuning/allowlist.conf"
    ) {
        self.system = system
        self.files = files
        self.allowList = allowList
    }

    /// Tunes the container (CNI specification, ADD). With nothing to do the previous result is handed on.
    public func add(_ request: Request) throws -> CNIResult {
        let configuration = try TuningConfiguration(request)
        // podman chains tuning without any setting: no reason to read a file then.
        if !configuration.settings.isEmpty { try checkAllowed(configuration) }
        let previous = try previousResult(request)
        if configuration.settings.isEmpty, !configuration.changesLink { return previous }
        let container = try system.container(at: request.invocation.netns)
        let link = configuration.changesLink ? try self.link(request, container.stack) : nil
        let plan = TuningPlan.make(configuration, request, previous: previous, link: link)
        return try withTransaction { transaction in
            if !plan.backup.isEmpty {
                // First: whatever instant we die at, DEL finds what to bring back.
                let store = store(configuration.dataDirectory, request)
                try store.save(plan.backup, of: request.attachment)
                transaction.push("the backup") { try files.remove(store.path(request.attachment)) }
            }
            // No step reaches the host: its stack is not opened.
            let executor = StepExecutor([(.container, container)])
            for step in plan.steps {
                if let undo = try apply(step, executor) { transaction.push("\(step)", undo: undo) }
            }
            _ = try plan.result.document(request.configuration.version)
            return plan.result
        }
    }

    /// Brings the interface back (CNI specification, DEL). Everything is tried; the backup is removed in any case.
    public func delete(_ request: Request) throws {
        var errors = ErrorCollector()
        let store = store(lenientDataDirectory(request), request)
        for path in [store.path(request.attachment), store.referencePath(request.attachment)] {
            let backup = errors.attempt { try store.load(path) } ?? nil
            if let backup {
                errors.attempt { try restore(backup, request) }
            }
            errors.attempt { try files.remove(path) }
        }
        try errors.throwIfAny()
    }

    /// Compares what ADD set with the kernel (CNI specification, CHECK). Nothing is printed on success.
    public func check(_ request: Request) throws {
        let configuration = try TuningConfiguration(request)
        _ = try previousResult(request)
        if configuration.settings.isEmpty, !configuration.changesLink { return }
        let container = try system.container(at: request.invocation.netns).stack
        for setting in configuration.settings {
            let path = setting.key.path(interface: request.attachment.interfaceName)
            let found = try container.parameter(path)
            // The kernel separates several values by tabs.
            guard words(found) == words(setting.value) else {
                throw failure("sysctl \(setting.key.text) is \"\(found)\", not \"\(setting.value)\"")
            }
        }
        guard configuration.changesLink else { return }
        let link = try link(request, container)
        try compare("MAC", configuration.mac, link.mac, link)
        try compare("MTU", configuration.mtu, link.mtu, link)
        try compare("promiscuous mode", configuration.promiscuous ? true : nil, link.isPromiscuous, link)
        try compare("all-multicast mode", configuration.allMulticast, link.isAllMulticast, link)
        try compare(
            "transmit queue length", configuration.transmitQueueLength, link.transmitQueueLength, link)
    }

    /// Removes the network's backups that are not in the list of valid attachments (CNI specification, GC); without any
    /// list, none. The reference plugin's files name no network and stay.
    public func collectGarbage(_ request: Request) throws {
        guard let entries = try request.configuration.validAttachments().known else { return }
        let valid = entries.map {
            BackupStore.name(containerID: $0.containerID, interfaceName: $0.interfaceName)
        }
        var errors = ErrorCollector()
        store(lenientDataDirectory(request), request).collectGarbage(valid: Set(valid), &errors)
        try errors.throwIfAny()
    }

    /// Says whether an ADD could be served now (CNI specification, STATUS): whether the allow-list can be read and allows
    /// what is configured, and backups can be written.
    public func status(_ request: Request) throws {
        let configuration = try TuningConfiguration(request)
        do {
            try checkAllowed(configuration)
        } catch {
            throw CNIError(CNIError.Code.notAvailable, error.message, details: error.details)
        }
        guard configuration.changesLink else { return }
        // The directory, or where it would be made.
        var path = configuration.dataDirectory
        while !Files.exists(path), let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            path = String(path[..<slash])
        }
        let isDirectory = (try? FileStatus(of: path))?.isDirectory ?? false
        guard isDirectory, Files.isWritableDirectory(path) else {
            throw CNIError(
                CNIError.Code.notAvailable, "backups cannot be written: \(path) is no directory we may write",
                details: "choose another with the key \"dataDir\"")
        }
    }

    // MARK: -

    private func apply(_ step: Step, _ executor: StepExecutor) throws -> StepExecutor.Undo? {
        do {
            return try executor.apply(step)
        } catch let error as NetlinkError where error.errno == .resourceBusy {
            // Some drivers change a MAC only while the link is down, and going down takes all routes: not for us to do.
            guard case .changeLink(let name, let change, _, _) = step, let mac = change.mac else { throw error }
            throw CNIError(
                CNIError.Code.unsupportedField,
                "mac: \(name)'s driver does not change its MAC to \(mac) while it is up",
                details: "\(error)")
        }
    }

    private func checkAllowed(_ configuration: TuningConfiguration) throws(CNIError) {
        let list = try AllowList.read(allowList, isAnchored: configuration.anchorsAllowList)
        try list?.check(configuration.settings)
    }

    private func previousResult(_ request: Request) throws -> CNIResult {
        guard let previous = try request.configuration.previousResult() else {
            throw CNIError(CNIError.Code.invalidConfiguration, "Required prevResult missing")
        }
        return previous
    }

    private func link(_ request: Request, _ container: any NetworkStack) throws -> Link {
        guard let link = try container.link(named: request.attachment.interfaceName) else {
            throw StepError.linkMissing(request.attachment.interfaceName)
        }
        return link
    }

    private func store(_ directory: String, _ request: Request) -> BackupStore {
        BackupStore(files: files, dataDirectory: directory, network: request.configuration.name)
    }

    /// With an invalid `dataDir` no ADD succeeded, so the usual one is as good as any.
    private func lenientDataDirectory(_ request: Request) -> String {
        (try? TuningConfiguration.dataDirectory(request.configuration.root.member("dataDir")))
            ?? TuningConfiguration.defaultDataDirectory
    }

    private func restore(_ backup: LinkBackup, _ request: Request) throws {
        guard !request.invocation.netns.isEmpty else { return }
        let container: Container
        do {
            container = try system.container(at: request.invocation.netns)
        } catch let error as NamespaceError {
            // Gone, or not a namespace at all: the interface went with it.
            if case .system = error.reason { throw error }
            return
        }
        guard let link = try container.stack.link(named: request.attachment.interfaceName) else { return }
        var errors = ErrorCollector()
        for change in backup.changes {
            errors.attempt { try container.stack.changeLink(index: link.index, change) }
        }
        try errors.throwIfAny()
    }

    private func failure(_ message: String) -> CNIError { CNIError(CNIError.Code.internal, message) }

    private func words(_ text: String) -> [Substring] { text.split { $0 == " " || $0 == "\t" || $0 == "\n" } }

    private func compare<Value: Equatable>(_ what: String, _ wanted: Value?, _ found: Value?, _ link: Link) throws {
        guard let wanted, wanted != found else { return }
        let shown = found.map { "\($0)" } ?? "none"
        throw failure("\(link.name): \(what) is \(shown), not \(wanted)")
    }
}
