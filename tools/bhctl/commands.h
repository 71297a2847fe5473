/* SPDX-License-Identifier: Apache-2.0
 *
 * commands.h: the table of commands, and its help. A command's name is one word, or a group and a verb: "put", "merchant add".
 *
 * Thread-safety: none.
 */
#ifndef BHCTL_COMMANDS_H
#define BHCTL_COMMANDS_H

#include "bhctl.h"

/* The command that `words` begin with, and how many of them are its name. Errors: BH_E_INVALID, with what there is, or what the
 * words are like. */
BH_MUST_CHECK bh_status commands_find(char *const *words, int count, const bhctl_command **out, int *used_out);

/* Prints all commands, or those of a group (NULL: all), with the options of every command. */
void commands_usage(const char *group);
/* Prints how one command is used. */
void commands_help(const bhctl_command *command);
/* Whether `words` are a group and --help; prints it then. */
bool commands_group_help(char *const *words, int count);

#endif
