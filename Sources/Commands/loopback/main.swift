import LoopbackPlugin
import PluginKit

PluginMain.run(LoopbackCommands(system: KernelHost()))
