/* options.c - prints the option table, one option per line, for options.sh to compare with sample and manual */
#include <stdio.h>

#include "conf/conf.h"

int main(void)
{
	const struct conf_option_info *options;
	size_t i, n;

	options = conf_options(&n);
	for (i = 0; i < n; i++)
		printf("%s\t%s\t%s\t%s\t%d\n", options[i].name, options[i].type, options[i].def ? options[i].def : "",
		       options[i].help ? options[i].help : "", options[i].reloadable);
	return 0;
}
