#include "base/fd_passing.h"
