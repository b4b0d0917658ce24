import NullPlugin
import PluginKit

PluginMain.run(NullCommands(system: KernelHost()))
