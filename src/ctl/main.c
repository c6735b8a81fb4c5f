/* main.c - ga4relay-ctl's way in; everything else is in the library, where the tests reach it */
#include "base/process.h"
#include "ctl/ctl.h"

int main(int argc, char **argv)
{
	process_begin();
	return ctl_main(argc, argv);
}
