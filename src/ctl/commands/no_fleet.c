/* no_fleet.c - --fleet and fleet-init in a build without PostgreSQL */
#include "ctl/ctl.h"

#if !GA4RELAY_POSTGRES

enum ctl_exit ctl_fleet(struct ctl *ctl)
{
	ctl_complain("%s: this ga4relay-ctl was built without PostgreSQL (configure --with-postgres)",
	             ctl->args.command->name);
	return CTL_REFUSED;
}

enum ctl_exit ctl_fleet_init(struct ctl *ctl)
{
	return ctl_fleet(ctl);
}

#endif
