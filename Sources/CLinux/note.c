// An ELF note that says which suite and version an executable belongs to. `bridge` reads it from the `host-local` it
// finds in CNI_PATH: the same suite and version may be called in process instead of being exec'ed.
#include "CLinux.h"

struct swiftlet_note {
    unsigned name_size, description_size, type;
    char name[12];
    char description[16];
};

__attribute__((used, aligned(4), section(".note.swiftlet")))
static const struct swiftlet_note swiftlet_note = {
    .name_size = sizeof("Swiftlet"),
    .description_size = 16,
    .type = 1,
    .name = "Swiftlet",
    .description = SWIFTLET_VERSION,
};
