/* Hears a WAV file in the three ways of the Go side, and prints what it understood. See record.sh. */
#include <stdio.h>
#include <stdlib.h>

#include <pocketsphinx.h>

int pw_open(const char *);
int pw_grammar(const char *, const char *);
int pw_use(const char *);
int pw_start(void);
int pw_feed(const int16 *, int);
int pw_whole(const int16 *, int);
int pw_search(int);
int pw_end(void);
const char *pw_text(void);
int pw_score(void);
int pw_posterior(void);
int pw_frames(void);
const char *pw_mean(int);
int pw_set_mean(const char *);

enum { PIECE = 1280, STRIDE = 50, HEADER = 44, MOST = 30 * 16000 };

static int16 pcm[MOST];

static void say(const char *how, const char *after)
{
    const char *text;

    pw_end();
    text = pw_text();
    printf("\t\"%s\": {\"text\": \"%s\", \"score\": %d, \"posterior\": %d, \"frames\": %d}%s\n", how, text ? text : "", pw_score(),
           pw_posterior(), pw_frames(), after);
}

static void begin(const char *search, const char *mean)
{
    pw_use(search);
    pw_set_mean(mean);
    pw_start();
}

int main(int argc, char **argv)
{
    char settings[4096], mean[256];
    FILE *f;
    int i, n;

    if (argc != 3)
        return 2;
    snprintf(settings, sizeof(settings), "{\"hmm\":\"%s\",\"dict\":\"%s/words.dict\",\"lm\":\"%s/lm.bin\",\"mmap\":false,\"maxhmmpf\":3000,\"maxwpf\":5}", argv[1],
             argv[1], argv[1]);
    if (pw_open(settings) != 0 || (f = fopen(argv[2], "rb")) == NULL)
        return 1;
    snprintf(mean, sizeof(mean), "%s", pw_mean(0));
    fseek(f, HEADER, SEEK_SET);
    n = fread(pcm, sizeof(*pcm), MOST, f);
    pw_grammar("commands", "#JSGF V1.0;\ngrammar commands;\npublic <command> = "
                           "( hey ( tars [ what ( time ( is ( it ) ) ) ] ) | turn ( left | right ) );\n");
    printf("{\n");
    begin("_default", mean);
    for (i = 0; i < n; i += PIECE)
        pw_feed(pcm + i, n - i < PIECE ? n - i : PIECE);
    say("pieces", ",");
    begin("_default", mean);
    pw_whole(pcm, n);
    while (pw_search(STRIDE) == STRIDE)
        ;
    say("whole", ",");
    begin("commands", mean);
    pw_whole(pcm, n);
    while (pw_search(STRIDE) == STRIDE)
        ;
    say("grammar", "");
    printf("}\n");
    return 0;
}
