/* selection_args.c - the filters of the command line, read as the daemon reads them */
#include "ctl/selection_args.h"

#include <errno.h>

#include "ctl/client.h"

static int write_request(const struct ctl_args *args, struct buf *out)
{
	struct json_out *j = json_out_begin(out);

	if (!j)
		return -ENOMEM;
	json_out_object(j);
	client_add_selection(j, args);
	return json_out_end(j);
}

int selection_of_args(const struct ctl_args *args, const struct query_streams *streams, uint32_t default_states,
                      struct selection *ret, enum count_by *ret_by, struct err *err)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(CLIENT_LINE_MAX);
	struct json_in *in = json_in_new(64);
	struct request request;
	int r = in ? write_request(args, &text) : -ENOMEM;

	if (r < 0)
		r = err_set(err, r, "out of memory");
	if (r == 0)
		r = json_in_read(in, buf_slice(&text), &request.doc, err);
	if (r == 0)
		r = selection_read(&request, streams, default_states, ret, err);
	if (r == 0) {
		r = selection_read_by(&request, ret_by, err);
		if (r < 0)
			selection_clear(ret);
	}
	json_in_free(in);
	return r;
}
