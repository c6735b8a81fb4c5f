/* redact.h - keeps a stream's secret out of what an endpoint answered */
#ifndef CONF_REDACT_H
#define CONF_REDACT_H

/* An error page may quote the URL it was asked for: every occurrence in text of the secret that url ends with, as it
 * is and percent-encoded, becomes asterisks; so does its beginning at the end of a text that was cut off there. */
void redact_answer(char *text, const char *url);

#endif
