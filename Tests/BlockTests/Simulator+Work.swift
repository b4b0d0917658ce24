import NetworkTypes

@testable import Cluster

func milliseconds(_ count: UInt64) -> UInt64 { count * 1_000_000 }
func seconds(_ count: UInt64) -> UInt64 { count * 1_000_000_000 }

extension BlockAllocator {
    /// Our blocks without those that rest.
    var unrestedBlocks: Set<BlockID> { mine.filter { ring[$0]?.state != .resting } }
}

extension Simulator {
    // MARK: Plugins

    /// Begins an ADD; with an address, for that one.
    ///
    /// - Returns: its number.
    @discardableResult
    func add(_ number: Int, subnet: Int = 0, fixed: IPAddress? = nil) -> Int {
        let host = hosts[number]
        let addition = nextNumber
        guard host.isRunning else { return addition }
        nextNumber += 1
        host.additions[addition] = Addition(
            number: addition, subnet: subnet, fixed: fixed, deadline: now + seconds(5))
        request(number, addition)
        return addition
    }

    /// An ADD for an address of its choice does not wait any longer.
    func giveUp(_ number: Int, _ addition: Int) {
        let host = hosts[number]
        guard let item = host.additions[addition], item.fixed != nil, let token = item.token else { return }
        note("host \(number) gives up \(item.fixed?.description ?? "")")
        host.operations[token] = nil
        finish(number, addition)
        give(.command(.giveUp(token: token)), to: number)
    }

    private func request(_ number: Int, _ addition: Int) {
        let host = hosts[number]
        guard let item = host.additions[addition] else { return }
        nextToken += 1
        let token = nextToken
        host.additions[addition]?.token = token
        host.operations[token] = now + settings.patience + seconds(1)
        if let fixed = item.fixed {
            give(.command(.borrow(fixed, token: token)), to: number)
        } else {
            let others = host.additions.values.count {
                $0.number != addition && $0.subnet == item.subnet && $0.fixed == nil && $0.lent == nil
            }
            give(.command(.need(subnet: item.subnet, token: token, beside: others)), to: number)
        }
    }

    func end(_ number: Int, _ token: UInt64, _ refusal: BlockAllocator.Refusal?, lent: IPAddress? = nil) {
        let host = hosts[number]
        guard host.operations.removeValue(forKey: token) != nil else {
            return breach("host \(number) ends \(token) twice or unasked")
        }
        host.results[token] = refusal
        guard let addition = host.additions.values.first(where: { $0.token == token }) else { return }
        if let refusal {
            refused += 1
            note("host \(number): \(addition.fixed?.description ?? "add") refused: \(refusal)")
            finish(number, addition.number)
            return
        }
        granted += 1
        host.additions[addition.number]?.token = nil
        host.additions[addition.number]?.lent = lent
        if lent != nil { loansOfAny += 1 }
        let own = host.allocator?.ranges[addition.subnet].spans ?? []
        let spans = (lent ?? addition.fixed).map { [AddressSpan($0)] } ?? own
        // The daemon may die now; the plugin goes on with what it was told.
        schedule(.reserve(number, addition: addition.number, spans: spans), in: random.time(0...milliseconds(300)))
    }

    private func finish(_ number: Int, _ addition: Int) {
        hosts[number].additions[addition] = nil
        schedule(.action { [unowned self] in endWithdrawals(number) }, in: 0)
    }

    /// The delegate takes a free address of the ranges it was given and writes it down.
    func reserve(_ number: Int, _ addition: Int, _ spans: [AddressSpan]) {
        let host = hosts[number]
        guard let item = host.additions[addition], !host.isDead else { return }
        var choice: IPAddress?
        search: for span in spans.shuffled(using: &random) {
            for value in span.first.number...span.last.number {
                let address = IPAddress(family: span.first.family, number: value)
                if !host.reserved.contains(address) {
                    choice = address
                    break search
                }
            }
        }
        guard let choice else {
            tellUsage(number)
            if item.fixed == nil, !item.isRetry, host.isRunning {
                host.additions[addition]?.isRetry = true
                // A new need: withdrawals that began in between do not wait for what it was told before.
                for place in host.withdrawals.indices { host.withdrawals[place].waitsFor.remove(addition) }
                request(number, addition)
                endWithdrawals(number)
            } else {
                finish(number, addition)
            }
            return
        }
        host.reserved.insert(choice)
        note("host \(number) uses \(choice)")
        if let other = users[choice], other != number, !zombies.contains(other), !zombies.contains(number) {
            breach("\(choice) is used by host \(other) and host \(number)")
        }
        users[choice] = number
        finish(number, addition)
        if random.chance(0.7) { tellUsage(number) }
    }

    /// Ends a container.
    func remove(_ number: Int, _ address: IPAddress) {
        let host = hosts[number]
        guard host.reserved.remove(address) != nil else { return }
        note("host \(number) frees \(address)")
        if users[address] == number { users[address] = nil }
        guard host.isRunning else { return }
        give(.command(.returnLoan(address)), to: number)
        if random.chance(0.7) { tellUsage(number) }
    }

    func tellUsage(_ number: Int) {
        let host = hosts[number]
        if host.isRunning { give(.command(.usage(host.reserved.sorted())), to: number) }
    }

    func endWithdrawals(_ number: Int) {
        let host = hosts[number]
        while host.isRunning {
            let ready = host.withdrawals.firstIndex { $0.waitsFor.allSatisfy { host.additions[$0] == nil } }
            guard let ready else { return }
            let item = host.withdrawals.remove(at: ready)
            let isFree = !host.reserved.contains { item.span.contains($0) }
            give(.command(.withdrawn(token: item.token, isFree: isFree)), to: number)
        }
    }

    // MARK: The operator

    /// The operator ends what runs on a host that lost its memory, and says so.
    func vouch(_ number: Int) {
        for host in hosts where host.hasLostMemory {
            for address in host.reserved.sorted() { remove(host.number, address) }
        }
        operate(number) { .takeover([hosts[number].id], token: $0) }
    }

    /// Gives a command with a token and says which.
    @discardableResult
    func operate(_ number: Int, _ command: (UInt64) -> BlockAllocator.Command) -> UInt64 {
        nextToken += 1
        let token = nextToken
        hosts[number].operations[token] = now + settings.takeoverPatience + seconds(1)
        give(.command(command(token)), to: number)
        return token
    }

    // MARK: Invariants

    /// No block is two hosts' at a time: not in memory, not on the disks of hosts that are down.
    func checkHeld(_ number: Int) {
        guard checksSafety else { return }
        let host = hosts[number]
        for other in hosts where other.number != number && !other.isDead {
            guard !zombies.contains(number), !zombies.contains(other.number) else { continue }
            let both = host.held.intersection(other.held)
            if let block = both.min() { breach("block \(block) is host \(number)'s and host \(other.number)'s") }
        }
    }

    /// Every command ends in time while its host runs.
    func checkOperations() {
        for host in hosts where host.isRunning {
            for (token, deadline) in host.operations where now > deadline {
                breach("host \(host.number): \(token) did not end")
            }
        }
    }

    /// What is not as it should be after a quiet time.
    func disagreement() -> String? {
        var tables: Set<UInt64> = []
        for host in hosts {
            guard let allocator = host.allocator else { continue }
            if !allocator.isDecided { return "host \(host.number) has no first split" }
            tables.insert(allocator.digest)
            if !allocator.unrecovered.isEmpty { return "host \(host.number) did not win back its blocks" }
            if !host.withdrawals.isEmpty { return "host \(host.number) withdraws" }
            let ids = Set(host.reserved)
            for address in allocator.borrowed where !ids.contains(address) {
                return "host \(host.number) holds \(address) without use"
            }
        }
        return tables.count > 1 ? "tables differ" : danglingLoan()
    }

    /// A loan that its borrower does not know of.
    private func danglingLoan() -> String? {
        for host in hosts {
            for item in host.allocator?.lent.values ?? [:].values {
                guard let borrower = hosts.first(where: { $0.id == item.borrower.host })?.allocator,
                    item.borrower.life == borrower.life, borrower.loans[item.loan.address] == nil
                else { continue }
                return "\(item.loan.address) is lent to \(borrower.name), which does not have it"
            }
        }
        return nil
    }

    /// Each block is its owner's, once, and each lent address is held where it was lent to.
    func checkConservation() {
        var owners: [BlockID: [Int]] = [:]
        for host in hosts where host.isRunning {
            for block in host.allocator?.mine ?? [] { owners[block, default: []].append(host.number) }
        }
        for (block, list) in owners where list.count > 1 { breach("block \(block) has owners \(list)") }
        for host in hosts {
            guard let allocator = host.allocator else { continue }
            for row in allocator.rows {
                guard let entry = row.entry, let owner = hosts.first(where: { $0.id == entry.owner.host }) else {
                    continue
                }
                if owner.isRunning, owners[row.block] != [owner.number] {
                    breach("block \(row.block) is host \(owner.number)'s by the table and not by itself")
                }
            }
        }
        for (address, number) in users {
            guard hosts[number].isRunning, !hosts[number].hasLeft, !hosts[number].hasLostMemory,
                let allocator = hosts[number].allocator,
                let block = allocator.block(of: address), let entry = allocator.ring[block]
            else { continue }
            if entry.owner.host != hosts[number].id, allocator.loans[address] == nil {
                breach("host \(number) uses \(address), which is neither its own nor lent to it")
            }
        }
    }
}
