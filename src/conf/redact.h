/* redact.h - removes a stream's secret from the text of an endpoint's answer */
#ifndef CONF_REDACT_H
#define CONF_REDACT_H

/* Replaces by asterisks, in text, every occurrence of the secret that url ends with: an error page may quote the URL
 * of the request. Finds it as it is and percent-encoded, and also its beginning at the end of a truncated text. */
void redact_answer(char *text, const char *url);

#endif
