/*
 * What the Go side calls: one decoder in each instance of the module. Numbers below 0 are errors.
 *
 * The loop of pw_search stands in place of the one inside ps_process_raw, so that an utterance that
 * is given as a whole can be searched a few frames at a time, and given up between them.
 */
#include <stdlib.h>

#include <pocketsphinx.h>
#include <pocketsphinx/err.h>

#include "bin_mdef.h"
#include "dict.h"
#include "dict2pid.h"
#include "fe/fe_internal.h"
#include "fe/fe_noise.h"
#include "lm/ngram_model.h"
#include "pocketsphinx_internal.h"
#include "util/ckd_alloc.h"
#include "util/strfuncs.h"

#define EXPORT(name) __attribute__((export_name(#name)))

static ps_decoder_t *decoder;
static int32 score;

EXPORT(pw_alloc) void *pw_alloc(int size) { return malloc(size); }
EXPORT(pw_release) void pw_release(void *p) { free(p); }

/* settings: the decoder's configuration, as JSON */
EXPORT(pw_open) int pw_open(const char *settings)
{
    ps_config_t *config;

    err_set_loglevel(ERR_FATAL);
    if ((config = ps_config_parse_json(NULL, settings)) == NULL)
        return -1;
    decoder = ps_init(config);
    ps_config_free(config);
    return decoder ? 0 : -2;
}

/*
 * Adds a word to the dictionary. Other than ps_add_word it leaves the language model alone, which
 * would take the word for as likely as all others together.
 */
EXPORT(pw_add_word) int pw_add_word(const char *word, char *phones)
{
    enum { MOST = 64 };
    char *names[MOST];
    s3cipid_t ids[MOST];
    int i, word_id, n = str2words(phones, names, MOST);

    if (n <= 0)
        return -1;
    for (i = 0; i < n; ++i) {
        int id = bin_mdef_ciphone_id(decoder->acmod->mdef, names[i]);
        if (id < 0)
            return -2;
        ids[i] = id;
    }
    word_id = dict_add_word(decoder->dict, word, ids, n);
    if (word_id == BAD_S3WID)
        return -3;
    dict2pid_add_word(decoder->d2p, word_id);
    return 0;
}

/* The phones of a word, or NULL; they are there until the next call. */
EXPORT(pw_phones) const char *pw_phones(const char *word)
{
    static char *phones;

    ckd_free(phones);
    phones = ps_lookup_word(decoder, word);
    return phones;
}

/* Replaces the search of the same name. */
EXPORT(pw_grammar) int pw_grammar(const char *name, const char *jsgf)
{
    return ps_add_jsgf_string(decoder, name, jsgf);
}

EXPORT(pw_use) int pw_use(const char *name) { return ps_activate_search(decoder, name); }

/* The noise of the utterance before is forgotten, which ps_start_utt does not do. */
EXPORT(pw_start) int pw_start(void)
{
    fe_reset_noisestats(decoder->acmod->fe->noise_stats);
    return ps_start_utt(decoder);
}

EXPORT(pw_feed) int pw_feed(const int16 *samples, int n)
{
    return ps_process_raw(decoder, samples, n, FALSE, FALSE);
}

/*
 * Takes an utterance as a whole: its mean is known before anything is searched. An utterance in pieces
 * makes upstream estimate the mean from then on, so that has to be taken back.
 */
EXPORT(pw_whole) int pw_whole(const int16 *samples, int n)
{
    decoder->acmod->fcb->cmn = CMN_BATCH;
    return ps_process_raw(decoder, samples, n, TRUE, TRUE);
}

/* Searches up to n frames of what pw_whole took, and returns how many there were. */
EXPORT(pw_search) int pw_search(int n)
{
    acmod_t *acmod = decoder->acmod;
    int done, rv;

    for (done = 0; done < n && acmod->n_feat_frame > 0; ++done) {
        if (decoder->pl_window > 0)
            if ((rv = ps_search_step(decoder->phone_loop, acmod->output_frame)) < 0)
                return rv;
        if (acmod->output_frame >= decoder->pl_window)
            if ((rv = ps_search_step(decoder->search, acmod->output_frame - decoder->pl_window)) < 0)
                return rv;
        acmod_advance(acmod);
        ++decoder->n_frame;
    }
    return done;
}

EXPORT(pw_end) int pw_end(void) { return ps_end_utt(decoder); }
EXPORT(pw_text) const char *pw_text(void) { return ps_get_hyp(decoder, &score); }
EXPORT(pw_score) int pw_score(void) { return score; }
EXPORT(pw_posterior) int pw_posterior(void) { return ps_get_prob(decoder); }
EXPORT(pw_frames) int pw_frames(void) { return ps_get_n_frames(decoder); }
EXPORT(pw_mean) const char *pw_mean(int update) { return ps_get_cmn(decoder, update); }
EXPORT(pw_set_mean) int pw_set_mean(const char *mean) { return ps_set_cmn(decoder, mean); }

/* Makes a binary language model of one in ARPA form; needs no decoder. */
EXPORT(pw_convert) int pw_convert(const char *from, const char *to)
{
    logmath_t *lmath = logmath_init(1.0001, 0, 0);
    ngram_model_t *lm = ngram_model_read(NULL, from, NGRAM_ARPA, lmath);

    if (lm == NULL)
        return -1;
    return ngram_model_write(lm, to, NGRAM_BIN);
}
