/* SPDX-License-Identifier: Apache-2.0
 *
 * port.h: a TCP port for a server of a test. Thread-safety: all calls.
 */
#ifndef BH_TESTS_PORT_H
#define BH_TESTS_PORT_H

/* One on 127.0.0.1 that nobody has now. */
int test_port_find(void);

#endif
