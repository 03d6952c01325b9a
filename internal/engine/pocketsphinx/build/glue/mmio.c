/* In place of upstream's mmio.c: WebAssembly has no mmap, so files are read. */
#include <stdio.h>
#include <stdlib.h>

#include <pocketsphinx/prim_type.h>

#include "util/mmio.h"

struct mmio_file_s {
    char *data;
};

mmio_file_t *mmio_file_read(const char *name)
{
    FILE *f = fopen(name, "rb");
    mmio_file_t *m = NULL;
    long size;

    if (f == NULL)
        return NULL;
    if (fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) >= 0 && fseek(f, 0, SEEK_SET) == 0
        && (m = malloc(sizeof(*m))) != NULL) {
        m->data = malloc(size + 1);
        if (m->data == NULL || fread(m->data, 1, size, f) != (size_t)size) {
            free(m->data);
            free(m);
            m = NULL;
        }
    }
    fclose(f);
    return m;
}

void mmio_file_unmap(mmio_file_t *m)
{
    if (m != NULL)
        free(m->data);
    free(m);
}

void *mmio_file_ptr(mmio_file_t *m) { return m->data; }
