import PluginKit
import PortmapPlugin

PluginMain.run(PortmapCommands(system: KernelHost()))
