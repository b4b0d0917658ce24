import HostLocalPlugin
import PluginKit

PluginMain.run(HostLocalPlugin())
