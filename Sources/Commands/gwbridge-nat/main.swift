import GwbridgeNATPlugin
import PluginKit

PluginMain.run(GwbridgeCommands(system: KernelHost()))
