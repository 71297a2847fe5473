/* SPDX-License-Identifier: Apache-2.0
 *
 * suggest.h: which word somebody may have meant.
 *
 * Likeness is the restricted Damerau-Levenshtein distance: letters that are missing, too many, others, or two that changed places
 * (F. J. Damerau, "A technique for computer detection and correction of spelling errors", 1964). Thread-safety: pure.
 */
#ifndef BHCTL_SUGGEST_H
#define BHCTL_SUGGEST_H

#define SUGGEST_SIZE 32 /* longer words are like nothing */

/* Puts `candidate` into `best` if `typed` is like it, and liker than what is there. `best`: "" before the first one. */
void suggest_weigh(const char *typed, const char *candidate, char best[SUGGEST_SIZE]);

#endif
