/* What upstream's CMake would find out about wasm32-wasi. */
#define DEFAULT_RADIX 12
#define HAVE_INTTYPES_H
#define HAVE_LONG_LONG
#define HAVE_SNPRINTF
#define HAVE_STDINT_H
#define HAVE_SYS_STAT_H
#define HAVE_SYS_TYPES_H
#define HAVE_UNISTD_H
#define SIZEOF_LONG 4
#define SIZEOF_LONG_LONG 8
