import FirewallPlugin
import PluginKit

PluginMain.run(FirewallCommands(system: KernelHost()))
