import OverlayVXLANPlugin
import PluginKit

PluginMain.run(OverlayCommands())
