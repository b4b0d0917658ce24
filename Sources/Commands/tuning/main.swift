import PluginKit
import TuningPlugin

PluginMain.run(TuningCommands(system: KernelHost()))
