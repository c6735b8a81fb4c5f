/* main.c - ga4relay-ctl's main(); everything else is in the library, so that tests can link it */
#include "base/process.h"
#include "ctl/ctl.h"

int main(int argc, char **argv)
{
	process_begin();
	return ctl_main(argc, argv);
}
