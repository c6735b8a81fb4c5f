#!/bin/bash
# protobuf-json-lists.sh - what protobuf's JSON parser takes for a list
# shellcheck source=findings/lib.sh
. "$(dirname "$0")/lib.sh"

cat <<'TEXT'
version     protobuf 3.21.12, C++
source      Debian 12, libprotobuf-dev; google/protobuf/util/json_util.h: JsonStringToMessage(). The JSON mapping in
            protobuf's language guide has a repeated field as a JSON array, and says nothing of repeated members.
good guess  A repeated field takes an array of its elements and nothing else. A member that comes twice is refused, or the
            last one wins, whatever its type.
behaviour   A repeated field takes one element without an array, and arrays within arrays, which it flattens. Of a member
            that comes twice the last one wins for a string, both are joined for a list, and a name that comes twice in a
            map is an error. A sender that wraps its batch once too often, or writes "events" twice, is understood there
            and by no stricter reader in between.
TEXT
debs "libprotobuf-dev=3.21.12-*" "libprotobuf32=3.21.12-*" "protobuf-compiler=3.21.12-*" "libprotoc32=3.21.12-*"

cat >hit.proto <<'SOURCE'
syntax = "proto3";
message Event { string name = 1; map<string, string> params = 2; }
message Hit { string client_id = 1; repeated Event events = 2; }
SOURCE
root/usr/bin/protoc -I. --cpp_out=. hit.proto

cat >try.cc <<'SOURCE'
#include <cstdio>
#include <iostream>
#include <string>
#include <google/protobuf/util/json_util.h>
#include "hit.pb.cc"

int main()
{
	google::protobuf::util::JsonPrintOptions options;
	options.preserve_proto_field_names = true;
	for (std::string line; std::getline(std::cin, line);) {
		Hit hit;
		std::string out;
		auto status = google::protobuf::util::JsonStringToMessage(line, &hit);
		if (status.ok())
			google::protobuf::util::MessageToJsonString(hit, &out, options);
		printf("%s\n  %s\n", line.c_str(), status.ok() ? out.c_str() : status.ToString().c_str());
	}
}
SOURCE
compile g++ try.cc -lprotobuf -lpthread

cat >lines <<'LINES'
{"events":{"name":"a"}}
{"events":[[{"name":"a"}],[[{"name":"b"}]]]}
{"events":[{"name":"a"}],"events":[{"name":"b"}]}
{"client_id":"1.2","client_id":"3.4"}
{"events":[{"params":{"x":"1","x":"2"}}]}
LINES
try() { ./try <lines; }
expect try <<'OUTPUT'
{"events":{"name":"a"}}
  {"events":[{"name":"a"}]}
{"events":[[{"name":"a"}],[[{"name":"b"}]]]}
  {"events":[{"name":"a"},{"name":"b"}]}
{"events":[{"name":"a"}],"events":[{"name":"b"}]}
  {"events":[{"name":"a"},{"name":"b"}]}
{"client_id":"1.2","client_id":"3.4"}
  {"client_id":"3.4"}
{"events":[{"params":{"x":"1","x":"2"}}]}
  INVALID_ARGUMENT:(events[0].params[0]) x: Repeated map key: 'x' is already set.
OUTPUT
