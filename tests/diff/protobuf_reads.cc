// protobuf_reads.cc - what protobuf's JSON parser says of requests, one a line: "ok", or its error's text
#include <google/protobuf/util/json_util.h>

#include <iostream>
#include <string>

#include "measurement.pb.h"

int main()
{
	for (std::string line; std::getline(std::cin, line);) {
		measurement::Request request;
		auto status = google::protobuf::util::JsonStringToMessage(line, &request);
		std::string text = status.ok() ? "ok" : "refused: " + status.ToString();
		for (char &c : text)
			c = c == '\n' ? ' ' : c;
		std::cout << text << '\n';
	}
}
