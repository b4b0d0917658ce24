import BridgePlugin
import PluginKit

PluginMain.run(BridgeCommands(system: KernelHost()))
