import BandwidthPlugin
import PluginKit

PluginMain.run(BandwidthCommands(system: KernelHost()))
