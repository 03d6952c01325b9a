/* The part of config.h that upstream's public headers need. */
#define DEFAULT_RADIX 12
#ifndef HAVE_STDINT_H
#define HAVE_STDINT_H
#endif
#ifndef HAVE_LONG_LONG
#define HAVE_LONG_LONG
#endif
#define SIZEOF_LONG 4
#define SIZEOF_LONG_LONG 8
