/* test_rules_request.c - each rule about a request at its limit: what is just accepted, what is just not
 *
 * The rows' first column names the rule as the tables in ga4relay-protocol(7) do; test_rules_event.c has those about
 * events. "WEB" is standard mode on a web stream; a warning shows as "ok CODE:field". */
#include "line_fixture.h"

#define C "{\"client_id\":\"1.2\","
#define E "\"name\":\"a\",\"params\":{\"session_id\":1,\"engagement_time_msec\":1}}"
#define A "{\"app_instance_id\":\"~32:a~\","
#define HASH "\"~64:0~\""

static const struct rule_case ids[] = {
        {"client_id present", WEB, C E, "ok"},
        {"client_id present", WEB, "{" E, "VALUE_REQUIRED:client_id"},
        {"client_id present", OFF, "{" E, "VALUE_REQUIRED:client_id"},
        {"client_id not empty", WEB, "{\"client_id\":\"\"," E, "VALUE_REQUIRED:client_id"},
        {"client_id not empty", OFF, "{\"client_id\":\"\"," E, "VALUE_REQUIRED:client_id"},
        {"client_id a string", WEB, "{\"client_id\":1.2," E, "VALUE_INVALID:client_id"},
        {"client_id null is absent", OFF, "{\"client_id\":null," E, "VALUE_REQUIRED:client_id"},
        {"client_id number.number", WEB, "{\"client_id\":\"f81d4fae-7dec-11d0\"," E, "ok VALUE_INVALID:client_id"},
        {"client_id number.number", WEB, "{\"client_id\":\"1.\"," E, "ok VALUE_INVALID:client_id"},
        {"client_id number.number", WEB, "{\"client_id\":\"1.2.3\"," E, "ok VALUE_INVALID:client_id"},
        {"client_id number.number", WEB, "{\"client_id\":\".1\"," E, "ok VALUE_INVALID:client_id"},
        {"client_id number.number", WEB, "{\"client_id\":\"1..2\"," E, "ok VALUE_INVALID:client_id"},
        {"client_id number.number", STRICT, "{\"client_id\":\"12\"," E, "VALUE_INVALID:client_id"},
        {"client_id number.number", OFF, "{\"client_id\":\"anything\"," E, "ok"},
        {"client_id on an app stream", APP, A "\"client_id\":\"1.2\"," E, "VALUE_INVALID:client_id"},
        {"client_id on an app stream", APP | OFF, A "\"client_id\":\"1.2\"," E, "ok"},
        {"app_instance_id present", APP, A E, "ok"},
        {"app_instance_id present", APP, "{" E, "VALUE_REQUIRED:app_instance_id"},
        {"app_instance_id present", APP | OFF, "{" E, "VALUE_REQUIRED:app_instance_id"},
        {"app_instance_id 32 digits", APP, "{\"app_instance_id\":\"~31:a~\"," E, "VALUE_INVALID:app_instance_id"},
        {"app_instance_id 32 digits", APP, "{\"app_instance_id\":\"~33:a~\"," E, "VALUE_INVALID:app_instance_id"},
        {"app_instance_id 32 digits", APP, "{\"app_instance_id\":\"~32:g~\"," E, "VALUE_INVALID:app_instance_id"},
        {"app_instance_id 32 digits", APP, "{\"app_instance_id\":\"~32:F~\"," E, "ok"},
        {"app_instance_id 32 digits", APP, "{\"app_instance_id\":\"0123456789abcdefABCDEF~10:9~\"," E, "ok"},
        {"app_instance_id 32 digits", APP, "{\"app_instance_id\":\"/~31:0~\"," E, "VALUE_INVALID:app_instance_id"},
        {"app_instance_id 32 digits", APP, "{\"app_instance_id\":\":~31:0~\"," E, "VALUE_INVALID:app_instance_id"},
        {"app_instance_id 32 digits", APP, "{\"app_instance_id\":\"@~31:0~\"," E, "VALUE_INVALID:app_instance_id"},
        {"app_instance_id 32 digits", APP, "{\"app_instance_id\":\"G~31:0~\"," E, "VALUE_INVALID:app_instance_id"},
        {"app_instance_id a string", APP | OFF, "{\"app_instance_id\":7," E, "VALUE_INVALID:app_instance_id"},
        {"app_instance_id not empty", APP | OFF, "{\"app_instance_id\":\"\"," E, "VALUE_REQUIRED:app_instance_id"},
        {"app_instance_id 32 digits", APP | OFF, "{\"app_instance_id\":\"x\"," E, "ok"},
        {"app_instance_id on a web stream", WEB, "{\"client_id\":\"1.2\",\"app_instance_id\":\"~32:a~\"," E,
         "VALUE_INVALID:app_instance_id"},
        {"user_id", WEB, C "\"user_id\":\"u\"," E, "ok"},
        {"user_id", WEB, C "\"user_id\":\"\"," E, "ok VALUE_OUT_OF_BOUNDS:user_id"},
        {"user_id", STRICT, C "\"user_id\":\"\"," E, "VALUE_OUT_OF_BOUNDS:user_id"},
        {"user_id", OFF, C "\"user_id\":\"\"," E, "ok"},
        {"user_id null is absent", STRICT, C "\"user_id\":null," E, "ok"},
        {"client_id of zeros", WEB, "{\"client_id\":\"0.0\"," E, "ok VALUE_INVALID:client_id"},
        {"client_id of zeros", WEB, "{\"client_id\":\"000.0000\"," E, "ok VALUE_INVALID:client_id"},
        {"client_id of zeros", WEB, "{\"client_id\":\"0.1\"," E, "ok"},
        {"client_id of zeros", STRICT, "{\"client_id\":\"0.0\"," E, "VALUE_INVALID:client_id"},
        {"e-mail address", WEB, "{\"client_id\":\"a@b.example\"," E, "ok VALUE_INVALID:client_id"},
        {"e-mail address", WEB, C "\"user_id\":\"a@b.example\"," E, "ok VALUE_INVALID:user_id"},
        {"e-mail address", STRICT, C "\"user_id\":\"a@b.example\"," E, "VALUE_INVALID:user_id"},
        {"e-mail address", WEB, C "\"user_id\":\"@b.example\"," E, "ok"},
        {"e-mail address", WEB, C "\"user_id\":\"a@example\"," E, "ok"},
        {"e-mail address", WEB, C "\"user_id\":\"a@b@c.example\"," E, "ok"},
        {"e-mail address", WEB, C "\"user_id\":\"write to a@b.example\"," E, "ok"},
        {"e-mail address", WEB, C "\"user_id\":\"https://a@b.example/x\"," E, "ok"},
        {"e-mail address", WEB, C "\"user_id\":\"abcde@b\"," E, "ok"},
        {"e-mail address", WEB, C "\"user_id\":\"a@b.ex\"," E, "ok VALUE_INVALID:user_id"},
        {"user_id", WEB, C "\"user_id\":\"~256:a~\"," E, "ok"},
        {"user_id", WEB, C "\"user_id\":\"~257:a~\"," E, "VALUE_OUT_OF_BOUNDS:user_id"},
        {"user_id", WEB, C "\"user_id\":\"~256:😀~\"," E, "ok"},
        {"user_id", WEB, C "\"user_id\":\"~257:😀~\"," E, "VALUE_OUT_OF_BOUNDS:user_id"},
        {"user_id", WEB, C "\"user_id\":7," E, "VALUE_INVALID:user_id"},
        {"user_id", OFF, C "\"user_id\":7," E, "ok"},
};

static const struct rule_case members[] = {
        {"unknown member", WEB, C "\"clientid\":1," E, "VALUE_INVALID:clientid"},
        {"unknown member", OFF, C "\"clientid\":1," E, "ok"},
        {"unknown member", WEB, C "\"consent\":{\"x\":1}," E, "VALUE_INVALID:consent.x"},
        {"unknown member", WEB, C "\"user_location\":{\"x\":\"\"}," E, "VALUE_INVALID:user_location.x"},
        {"unknown member", WEB, C "\"device\":{\"x\":\"\"}," E, "VALUE_INVALID:device.x"},
        {"unknown member", WEB, C "\"user_id\":\"u\",\"user_data\":{\"email\":\"a@b\"}," E,
         "VALUE_INVALID:user_data.email"},
        {"unknown member", WEB, C "\"params\":{},\"events\":[{\"name\":\"a\"}]}", "VALUE_INVALID:params"},
        {"unknown member", WEB, C "\"value\":1,\"events\":[{\"name\":\"a\"}]}", "VALUE_INVALID:value"},
        {"finite numbers", WEB, C "\"name\":\"a\",\"params\":{\"x\":[1e308,{\"y\":1e309}]}}",
         "VALUE_INVALID:params.x[1].y"},
        {"finite numbers", OFF, C "\"name\":\"a\",\"params\":{\"x\":-1e400}}", "VALUE_INVALID:params.x"},
        {"finite numbers", OFF, C "\"name\":\"a\",\"params\":{\"x\":1~308:0~}}", "ok"},
        {"finite numbers", OFF, C "\"name\":\"a\",\"params\":{\"x\":1~309:0~}}", "VALUE_INVALID:params.x"},
        {"consent", WEB, C "\"consent\":{\"ad_user_data\":\"GRANTED\",\"ad_personalization\":\"DENIED\"}," E, "ok"},
        {"consent", WEB, C "\"consent\":{\"ad_user_data\":\"granted\"}," E, "ok VALUE_INVALID:consent.ad_user_data"},
        {"consent", STRICT, C "\"consent\":{\"ad_user_data\":\"Denied\"}," E, "VALUE_INVALID:consent.ad_user_data"},
        {"consent", WEB, C "\"consent\":{\"ad_user_data\":\"granted \"}," E, "VALUE_INVALID:consent.ad_user_data"},
        {"consent", WEB, C "\"consent\":{\"ad_user_data\":\"yes\"}," E, "VALUE_INVALID:consent.ad_user_data"},
        {"consent", WEB, C "\"consent\":{\"ad_user_data\":\"refuses\"}," E, "VALUE_INVALID:consent.ad_user_data"},
        {"consent", WEB, C "\"consent\":{\"ad_user_data\":true}," E, "VALUE_INVALID:consent.ad_user_data"},
        {"consent", WEB, C "\"consent\":{\"ad_user_data\":null}," E, "ok"},
        {"consent", WEB, C "\"consent\":{\"adUserData\":\"yes\"}," E, "VALUE_INVALID:consent.adUserData"},
        {"consent", WEB, C "\"consent\":null," E, "ok"},
        {"consent", WEB, C "\"consent\":{\"ad_user_data\":1}," E, "VALUE_INVALID:consent.ad_user_data"},
        {"consent", WEB, C "\"consent\":\"GRANTED\"," E, "VALUE_INVALID:consent"},
        {"non_personalized_ads", WEB, C "\"non_personalized_ads\":true," E, "ok VALUE_INVALID:non_personalized_ads"},
        {"non_personalized_ads", WEB, C "\"nonPersonalizedAds\":\"false\"," E, "ok VALUE_INVALID:nonPersonalizedAds"},
        {"non_personalized_ads", WEB, C "\"non_personalized_ads\":\"true\"," E,
         "ok VALUE_INVALID:non_personalized_ads"},
        {"non_personalized_ads", WEB, C "\"non_personalized_ads\":\"False\"," E,
         "VALUE_INVALID:non_personalized_ads"},
        {"non_personalized_ads", WEB, C "\"non_personalized_ads\":\"1\"," E, "VALUE_INVALID:non_personalized_ads"},
        {"non_personalized_ads", WEB, C "\"non_personalized_ads\":1," E, "VALUE_INVALID:non_personalized_ads"},
        {"user_location", WEB,
         C "\"user_location\":{\"city\":\"a\",\"region_id\":\"a\",\"country_id\":\"a\",\"subcontinent_id\":\"a\","
           "\"continent_id\":"
           "\"a\"}," E,
         "ok"},
        {"user_location", WEB, C "\"user_location\":{\"city\":1}," E, "VALUE_INVALID:user_location.city"},
        {"user_location", STRICT, C "\"user_location\":[]," E, "ok"},
        {"user_location", WEB, C "\"user_location\":[1]," E, "VALUE_INVALID:user_location"},
        {"camelCase", STRICT, C "\"userLocation\":{\"regionId\":\"a\",\"countryId\":\"b\"}," E, "ok"},
        {"camelCase", WEB, C "\"userLocation\":{\"regionId\":\"a\",\"region_id\":\"b\"}," E,
         "VALUE_INVALID:userLocation.region_id"},
        {"camelCase", OFF, C "\"device\":{\"browser_version\":\"a\",\"browserVersion\":\"a\"}," E,
         "VALUE_INVALID:device.browserVersion"},
        {"camelCase", OFF, C "\"clientId\":\"1.2\"," E, "VALUE_INVALID:clientId"},
        {"camelCase", WEB, "{\"clientId\":\"1.2\",\"client_id\":\"1.2\"," E, "VALUE_INVALID:client_id"},
        {"camelCase", STRICT, C "\"clientId\":null," E, "ok"},
        {"camelCase", WEB, C "\"ClientId\":\"1.2\"," E, "VALUE_INVALID:ClientId"},
        {"camelCase", WEB, C "\"client_Id\":\"1.2\"," E, "VALUE_INVALID:client_Id"},
        {"camelCase", WEB, C "\"dedupKey\":\"k\"," E, "VALUE_INVALID:dedupKey"},
        {"camelCase", WEB, C "\"screenResolution\":\"k\"," E, "VALUE_INVALID:screenResolution"},
        {"camelCase", WEB, C "\"userId\":7," E, "VALUE_INVALID:userId"},
        {"device", WEB,
         C "\"device\":{\"category\":\"a\",\"language\":\"a\",\"screen_resolution\":\"a\",\"operating_system\":\"a\","
           "\"operating_system_version\":\"a\",\"model\":\"a\",\"brand\":\"a\",\"browser\":\"a\",\"browser_version\":"
           "\"a\"}," E,
         "ok"},
        {"device", WEB, C "\"device\":{\"brand\":null}," E, "ok"},
        {"device", WEB, C "\"device\":{\"brand\":7}," E, "VALUE_INVALID:device.brand"},
        {"ip_override", WEB, C "\"ip_override\":\"1.2.3.4\"," E, "ok"},
        {"ip_override", WEB, C "\"ip_override\":\"1.2.3.4\",\"user_location\":{}," E, "ok VALUE_INVALID:ip_override"},
        {"ip_override", WEB, C "\"ip_override\":4," E, "VALUE_INVALID:ip_override"},
        {"user_agent", WEB, C "\"user_agent\":\"x\"," E, "ok"},
        {"user_agent", WEB, C "\"user_agent\":\"x\",\"device\":{}," E, "ok VALUE_INVALID:user_agent"},
        {"validation_behavior", WEB, C "\"validation_behavior\":\"RELAXED\"," E, "ok"},
        {"validation_behavior", WEB, C "\"validation_behavior\":\"ENFORCE_RECOMMENDATIONS\"," E, "ok"},
        {"validation_behavior", WEB, C "\"validation_behavior\":\"STRICT\"," E, "VALUE_INVALID:validation_behavior"},
        {"validation_behavior", WEB, C "\"validation_behavior\":true," E, "VALUE_INVALID:validation_behavior"},
};

#define UP(p) C "\"user_properties\":{" p "}," E

static const struct rule_case properties[] = {
        {"user_properties", WEB, UP("\"a\":{\"value\":\"x\",\"timestamp_micros\":1}"), "ok"},
        {"user_properties", WEB, UP("\"a\":\"x\""), "VALUE_INVALID:user_properties.a"},
        {"user_properties", WEB, UP("\"a\":{}"), "ok VALUE_INVALID:user_properties.a.value"},
        {"user_properties", WEB, UP("\"a\":[]"), "ok VALUE_INVALID:user_properties.a.value"},
        {"user_properties", WEB, UP("\"a\":{\"timestamp_micros\":1}"), "ok VALUE_INVALID:user_properties.a.value"},
        {"user_properties", STRICT, UP("\"a\":{}"), "VALUE_INVALID:user_properties.a.value"},
        {"user_properties", WEB, UP("\"a\":{\"valeu\":1}"), "VALUE_INVALID:user_properties.a.valeu"},
        {"user_properties", WEB, UP("\"a\":{\"value\":1,\"x\":1}"), "VALUE_INVALID:user_properties.a.x"},
        {"user_properties", WEB, UP("\"a\":{\"value\":1,\"timestamp_micros\":\"1\"}"), "ok"},
        {"user_properties", WEB, UP("\"a\":{\"value\":1,\"timestamp_micros\":1.5}"),
         "ok VALUE_INVALID:user_properties.a.timestamp_micros"},
        {"user_properties", WEB, UP("\"a\":{\"value\":1,\"timestampMicros\":\"x\"}"),
         "VALUE_INVALID:user_properties.a.timestampMicros"},
        {"user_properties", WEB, UP("\"a\":{\"value\":1,\"timestampMicros\":0}"), "ok"},
        {"user_properties", WEB, UP("\"a\":{\"value\":1,\"timestamp_micros\":1,\"timestampMicros\":2}"),
         "VALUE_INVALID:user_properties.a.timestampMicros"},
        {"user_properties", OFF, UP("\"a\":{\"value\":1,\"timestamp_micros\":1,\"timestampMicros\":2}"),
         "VALUE_INVALID:user_properties.a.timestampMicros"},
        {"user_properties", WEB, UP("\"a\":null,\"aB\":{\"value\":1,\"timestamp_micros\":null}"), "ok"},
        {"user_properties", WEB, C "\"user_properties\":[]," E, "ok"},
        {"user_properties", WEB, C "\"user_properties\":[1]," E, "VALUE_INVALID:user_properties"},
        {"25 user properties", WEB, UP("~25,\"p$\":{\"value\":1}~"), "ok"},
        {"25 user properties", WEB, UP("~26,\"p$\":{\"value\":1}~"), "ok EXCEEDED_MAX_ENTITIES:user_properties"},
        {"25 user properties", STRICT, UP("~26,\"p$\":{\"value\":1}~"), "EXCEEDED_MAX_ENTITIES:user_properties"},
        {"property name", WEB, UP("\"A_9\":{\"value\":1}"), "ok"},
        {"property name", WEB, UP("\"~24:a~\":{\"value\":1}"), "ok"},
        {"property name", WEB, UP("\"~25:a~\":{\"value\":1}"),
         "ok NAME_INVALID:user_properties.aaaaaaaaaaaaaaaaaaaaaaaaa"},
        {"property name", WEB, UP("\"9a\":{\"value\":1}"), "ok NAME_INVALID:user_properties.9a"},
        {"property name", STRICT, UP("\"9a\":{\"value\":1}"), "NAME_INVALID:user_properties.9a"},
        {"property value", WEB, UP("\"a\":{\"value\":\"~36:x~\"}"), "ok"},
        {"property value", WEB, UP("\"a\":{\"value\":\"~37:x~\"}"), "ok VALUE_OUT_OF_BOUNDS:user_properties.a.value"},
        {"property value", WEB, UP("\"a\":{\"value\":\"~36:é~\"}"), "ok"},
        {"property value", WEB, UP("\"a\":{\"value\":\"~18:e\u0301~\"}"), "ok"},
        {"property value", WEB, UP("\"a\":{\"value\":\"~37:é~\"}"), "ok VALUE_OUT_OF_BOUNDS:user_properties.a.value"},
        {"property value", WEB, UP("\"a\":{\"value\":null}"), "ok VALUE_INVALID:user_properties.a.value"},
        {"property value", WEB, UP("\"a\":{\"value\":{}}"), "ok VALUE_INVALID:user_properties.a.value"},
        {"property value", WEB, UP("\"a\":{\"value\":[]}"), "ok VALUE_INVALID:user_properties.a.value"},
        {"property value", STRICT, UP("\"a\":{\"value\":null}"), "VALUE_INVALID:user_properties.a.value"},
        {"reserved properties", WEB, UP("\"first_open_time\":{\"value\":1}"),
         "ok NAME_RESERVED:user_properties.first_open_time"},
        {"reserved properties", WEB, UP("\"first_visit_time\":{\"value\":1}"),
         "ok NAME_RESERVED:user_properties.first_visit_time"},
        {"reserved properties", WEB, UP("\"last_deep_link_referrer\":{\"value\":1}"),
         "ok NAME_RESERVED:user_properties.last_deep_link_referrer"},
        {"reserved properties", WEB, UP("\"user_id\":{\"value\":1}"), "ok NAME_RESERVED:user_properties.user_id"},
        {"reserved properties", WEB, UP("\"first_open_after_install\":{\"value\":1}"),
         "ok NAME_RESERVED:user_properties.first_open_after_install"},
        {"reserved properties", WEB, UP("\"_a\":{\"value\":1}"), "ok NAME_RESERVED:user_properties._a"},
        {"reserved properties", WEB, UP("\"firebase_a\":{\"value\":1}"),
         "ok NAME_RESERVED:user_properties.firebase_a"},
        {"reserved properties", WEB, UP("\"ga_a\":{\"value\":1}"), "ok NAME_RESERVED:user_properties.ga_a"},
        {"reserved properties", WEB, UP("\"google_a\":{\"value\":1}"), "ok NAME_RESERVED:user_properties.google_a"},
        {"reserved properties", WEB, UP("\"gaa\":{\"value\":1}"), "ok"},
        {"reserved properties", OFF, UP("\"ga_a\":5"), "ok"},
};

#define UD(d) C "\"user_id\":\"u\",\"user_data\":{" d "}," E

static const struct rule_case user_data[] = {
        {"user_data needs user_id", WEB, UD(""), "ok"},
        {"user_data needs user_id", WEB, C "\"user_data\":{}," E, "ok VALUE_REQUIRED:user_id"},
        {"user_data needs user_id", STRICT, C "\"userData\":{}," E, "VALUE_REQUIRED:user_id"},
        {"user_data needs user_id", WEB, C "\"user_data\":null," E, "ok"},
        {"user_data needs user_id", OFF, C "\"user_data\":{}," E, "ok"},
        {"user_data hashes", WEB, UD("\"sha256_email_address\":" HASH), "ok"},
        {"user_data hashes", WEB, UD("\"sha256_email_address\":\"~63:0~\""),
         "ok VALUE_INVALID:user_data.sha256_email_address"},
        {"user_data hashes", WEB, UD("\"sha256_email_address\":\"~65:0~\""),
         "ok VALUE_INVALID:user_data.sha256_email_address"},
        {"user_data hashes", WEB, UD("\"sha256_email_address\":\"0123456789abcdef~48:f~\""), "ok"},
        {"user_data hashes", WEB, UD("\"sha256_email_address\":\"/~63:0~\""),
         "ok VALUE_INVALID:user_data.sha256_email_address"},
        {"user_data hashes", WEB, UD("\"sha256_email_address\":\"g~63:0~\""),
         "ok VALUE_INVALID:user_data.sha256_email_address"},
        {"user_data hashes", WEB, UD("\"sha256_email_address\":7"),
         "ok VALUE_INVALID:user_data.sha256_email_address"},
        {"user_data hashes", STRICT, UD("\"sha256_email_address\":\"\""),
         "VALUE_INVALID:user_data.sha256_email_address"},
        {"user_data hashes", STRICT, UD("\"sha256EmailAddress\":null"), "ok"},
        {"user_data hashes", STRICT, UD("\"sha256EmailAddress\":\"0123456789abcdefABCDEF~42:0~\""), "ok"},
        {"user_data hashes", WEB, UD("\"sha256_email_address\":\"~64:A~\""), "ok"},
        {"user_data hashes", WEB, UD("\"sha256_phone_number\":[" HASH ",\"+4912345\"]"),
         "ok VALUE_INVALID:user_data.sha256_phone_number[1]"},
        {"user_data numbers", WEB, UD("\"sha256_email_address\":[" HASH "," HASH "]"), "ok"},
        {"user_data numbers", WEB, UD("\"sha256_phone_number\":[" HASH "," HASH "," HASH "]"), "ok"},
        {"user_data numbers", WEB, UD("\"sha256_phone_number\":[" HASH "," HASH "," HASH "," HASH "]"),
         "ok EXCEEDED_MAX_ENTITIES:user_data.sha256_phone_number"},
        {"user_data numbers", WEB, UD("\"sha256_email_address\":[" HASH "," HASH "," HASH "," HASH "]"),
         "ok EXCEEDED_MAX_ENTITIES:user_data.sha256_email_address"},
        {"user_data numbers", WEB, UD("\"address\":[{},{}]"), "ok"},
        {"user_data numbers", WEB, UD("\"address\":[{},{},{}]"), "ok EXCEEDED_MAX_ENTITIES:user_data.address"},
        {"user_data address", WEB,
         UD("\"address\":{\"sha256_first_name\":" HASH ",\"sha256_last_name\":" HASH ",\"sha256_street\":" HASH
            ",\"city\":\"a\",\"region\":\"a\",\"postal_code\":\"1\",\"country\":\"DE\"}"),
         "ok"},
        {"user_data address", WEB, UD("\"address\":\"High Street 1\""), "VALUE_INVALID:user_data.address"},
        {"user_data address", WEB, UD("\"address\":{\"first_name\":\"Ann\"}"),
         "VALUE_INVALID:user_data.address.first_name"},
        {"user_data address", WEB, UD("\"address\":[{\"sha256_street\":\"High Street 1\"}]"),
         "ok VALUE_INVALID:user_data.address[0].sha256_street"},
};

#define BOTH "{\"region\":\"a\",\"postalCode\":\"1\",\"postal_code\":\"1\"}"

static const struct rule_case addresses[] = {
        {"user_data address", WEB, UD("\"address\":[null,{}]"), "ok VALUE_INVALID:user_data.address[0]"},
        {"user_data address", STRICT, UD("\"address\":[null,{}]"), "VALUE_INVALID:user_data.address[0]"},
        {"user_data address", OFF, UD("\"address\":[null,7,{\"postalCode\":\"1\"}]"), "ok"},
        {"user_data address", OFF, UD("\"address\":7"), "ok"},
        {"user_data address", OFF, UD("\"address\":[{\"first_name\":\"Ann\"},{},{},[],[7]]"), "ok"},
        {"user_data address", OFF, UD("\"address\":{\"sha256_street\":\"High Street 1\"}"),
         "ok VALUE_INVALID:user_data.address.sha256_street"},
        {"user_data hashes", OFF, UD("\"sha256_email_address\":" HASH ",\"x\":7"), "ok"},
        {"user_data hashes", OFF, UD("\"sha256_email_address\":\"ann@example.org\""),
         "ok VALUE_INVALID:user_data.sha256_email_address"},
        {"user_data hashes", OFF, UD("\"sha256EmailAddress\":[" HASH ",\"ann@example.org\"]"),
         "ok VALUE_INVALID:user_data.sha256EmailAddress[1]"},
        {"user_data numbers", OFF, UD("\"sha256_phone_number\":[" HASH "," HASH "," HASH "," HASH "]"), "ok"},
        {"both spellings", WEB, UD("\"address\":[{}," BOTH "]"), "VALUE_INVALID:user_data.address[1].postal_code"},
        {"both spellings", OFF, UD("\"address\":[{}," BOTH "]"), "VALUE_INVALID:user_data.address[1].postal_code"},
        {"both spellings", OFF, UD("\"address\":" BOTH), "VALUE_INVALID:user_data.address.postal_code"},
        {"an object", WEB, C "\"user_id\":\"u\",\"user_data\":7," E, "VALUE_INVALID:user_data"},
        {"an object", OFF, C "\"user_id\":\"u\",\"user_data\":7," E, "ok"},
};

#define TS(t) C "\"timestamp_micros\":" t "," E

static const struct rule_case times[] = {
        {"timestamp_micros", WEB, TS("1760000000000000"), "ok"},
        {"timestamp_micros", WEB, TS("\"1760000000000000\""), "ok"},
        {"timestamp_micros", WEB, TS("1.76e15"), "ok"},
        {"timestamp_micros", WEB, TS("1760000000000000.5"), "ok VALUE_INVALID:timestamp_micros"},
        {"timestamp_micros", STRICT, TS("1760000000000000.5"), "VALUE_INVALID:timestamp_micros"},
        {"timestamp_micros", STRICT, TS("1760000000000000.9"), "VALUE_INVALID:timestamp_micros"},
        {"timestamp_micros", STRICT, TS("1760000000000000.0"), "ok"},
        {"timestamp_micros", STRICT, TS("\"1760000000000000.0\""), "ok"},
        {"timestamp_micros", WEB, TS("\"1760000000000000.\""), "VALUE_INVALID:timestamp_micros"},
        {"timestamp_micros", WEB, TS("\"1760000000000000.0Z\""), "VALUE_INVALID:timestamp_micros"},
        {"timestamp_micros", WEB, TS("17600000000000005e-1"), "ok VALUE_INVALID:timestamp_micros"},
        {"timestamp_micros", STRICT, TS("17600003000000005e-1"), "VALUE_INVALID:timestamp_micros"},
        {"timestamp_micros", WEB, TS("\"2026-11-30T12:00:00Z\""), "VALUE_INVALID:timestamp_micros"},
        {"timestamp_micros 0 is unset", STRICT, TS("0"), "ok"},
        {"timestamp_micros 0 is unset", STRICT, TS("\"0\""), "ok"},
        {"timestamp_micros 0 is unset", WEB, TS("1"), "TIMESTAMP_EXPIRED:timestamp_micros"},
        {"timestamp_micros null is absent", STRICT, TS("null"), "ok"},
        {"timestamp_micros", WEB, TS("\"-1\""), "VALUE_INVALID:timestamp_micros"},
        {"timestamp_micros", WEB, TS("\"\""), "VALUE_INVALID:timestamp_micros"},
        {"timestamp_micros", WEB, TS("true"), "VALUE_INVALID:timestamp_micros"},
        {"timestamp_micros", WEB, TS("1e999"), "VALUE_INVALID:timestamp_micros"},
        {"72 h back", WEB, TS("1759740800000000"), "ok"},
        {"72 h back", OFF, TS("-0.5"), "ok"},
        {"72 h back", WEB, TS("17597408000000005e-1"), "ok VALUE_INVALID:timestamp_micros"},
        {"72 h back", WEB, TS("17597407999999995e-1"), "TIMESTAMP_EXPIRED:timestamp_micros"},
        {"72 h back", WEB, TS("-1e30"), "TIMESTAMP_EXPIRED:timestamp_micros"},
        {"72 h back", WEB, TS("-99999999999999999999999"), "TIMESTAMP_EXPIRED:timestamp_micros"},
        {"72 h back", WEB, TS("1759740799999999"), "TIMESTAMP_EXPIRED:timestamp_micros"},
        {"72 h back", WEB, TS("1760000000"), "TIMESTAMP_EXPIRED:timestamp_micros"},
        {"5 min ahead", WEB, TS("1760000300000000"), "ok"},
        {"5 min ahead", WEB, TS("1760000300000001"), "VALUE_OUT_OF_BOUNDS:timestamp_micros"},
        {"5 min ahead", WEB, TS("18446744073709551615"), "VALUE_OUT_OF_BOUNDS:timestamp_micros"},
        {"5 min ahead", WEB, TS("99999999999999999999999"), "VALUE_OUT_OF_BOUNDS:timestamp_micros"},
        {"5 min ahead", WEB, TS("1e30"), "VALUE_OUT_OF_BOUNDS:timestamp_micros"},
        {"window", WEB, C "\"events\":[{\"name\":\"a\",\"timestamp_micros\":5}]}",
         "TIMESTAMP_EXPIRED:events[0].timestamp_micros"},
        {"window", OFF, TS("5"), "ok"},
        {"window", OFF, TS("-5"), "ok"},
        {"window", OFF, TS("1760000300000001"), "ok"},
        {"window", OFF, TS("99999999999999999999999"), "ok"},
        {"window", OFF, TS("\"x\""), "ok"},
};

static const struct rule_case shapes[] = {
        {"both shapes", WEB, C "\"name\":\"a\",\"events\":[]}", "VALUE_INVALID:events"},
        {"both shapes", OFF, C "\"events\":[],\"name\":\"a\"}", "VALUE_INVALID:name"},
        {"both shapes", OFF, C "\"name\":\"a\",\"params\":7,\"events\":[]}", "VALUE_INVALID:events"},
        {"no shape", WEB, "{\"client_id\":\"1.2\"}", "VALUE_REQUIRED:name"},
        {"no shape", WEB, C "\"params\":{}}", "VALUE_REQUIRED:name"},
        {"no events", WEB, C "\"events\":[]}", "VALUE_REQUIRED:events"},
        {"no events", WEB, C "\"user_properties\":{\"a\":{\"value\":1}}}", "ok"},
        {"no events", WEB, C "\"events\":[],\"user_properties\":{\"a\":{\"value\":1}}}", "ok"},
        {"no events", WEB, C "\"user_id\":\"u\",\"user_data\":{\"sha256_email_address\":" HASH "}}", "ok"},
        {"no events", WEB, C "\"user_properties\":{}}", "VALUE_REQUIRED:events"},
        {"no events", OFF, C "\"user_properties\":[]}", "VALUE_REQUIRED:events"},
        {"no events", OFF, C "\"user_properties\":7}", "VALUE_REQUIRED:events"},
        {"events an array", OFF, C "\"events\":1}", "VALUE_INVALID:events"},
        {"one event", OFF, C "\"events\":{}}", "VALUE_REQUIRED:events.name"},
        {"one event", OFF, C "\"events\":{\"name\":\"a\"}}", "ok"},
        {"one event", WEB, C "\"events\":{\"name\":\"a\",\"x\":1}}", "VALUE_INVALID:events.x"},
        {"null is absent", OFF, C "\"name\":null,\"events\":[{\"name\":\"a\"}]}", "ok"},
        {"null is absent", OFF, C "\"name\":\"a\",\"params\":null,\"events\":null}", "ok"},
        {"null is absent", OFF, C "\"name\":null}", "VALUE_REQUIRED:name"},
        {"null is absent", OFF, C "\"events\":[null]}", "VALUE_INVALID:events[0]"},
        {"null is absent", STRICT, C "\"stream\":null,\"dedup_key\":null,\"session_cookie\":null,\"x\":null," E,
         "ok"},
        {"null is absent", OFF, C "\"events\":[{\"name\":\"a\",\"params\":null,\"timestamp_micros\":null}]}", "ok"},
        {"null is absent", OFF, C "\"events\":[{\"name\":null}]}", "VALUE_REQUIRED:events[0].name"},
        {"an event an object", OFF, C "\"events\":[1]}", "VALUE_INVALID:events[0]"},
        {"1000 events", OFF, C "\"events\":[~1000,{\"name\":\"a\"}~]}", "ok"},
        {"1000 events", OFF, C "\"events\":[~1001,{\"name\":\"a\"}~]}", "EXCEEDED_MAX_ENTITIES:events"},
        {"stream", WEB, C "\"stream\":\"web\"," E, "ok"},
        {"more members than the scan keeps the rows of", WEB,
         C "\"user_id\":null,\"stream\":\"web\",\"dedup_key\":\"k\",\"session_cookie\":\"GS1.1.1700000000.1\","
           "\"consent\":{},\"user_location\":{},\"device\":{},\"validation_behavior\":\"RELAXED\","
           "\"user_properties\":{},\"ip_override\":\"1.2.3.4\",\"timestamp_micros\":0,\"userId\":\"u\","
           "\"userData\":{},\"nonPersonalizedAds\":false,\"userAgent\":\"x\",\"zz\":1," E,
         "VALUE_INVALID:zz"},
        {"more members than the scan keeps the rows of", WEB,
         C
         "\"a\":null,\"stream\":\"web\",\"dedup_key\":\"k\",\"session_cookie\":\"GS1.1.1700000000.1\","
         "\"consent\":{},\"user_location\":{},\"device\":{},\"validation_behavior\":\"RELAXED\","
         "\"user_properties\":{},\"ip_override\":\"1.2.3.4\",\"timestamp_micros\":0,\"userId\":\"u\","
         "\"userData\":{},\"userAgent\":\"x\",\"b\":null,\"non_personalized_ads\":null,\"app_instance_id\":\"x\"," E,
         "VALUE_INVALID:app_instance_id"},
        {"stream", WEB, A "\"stream\":\"app\"," E, "ok"},
        {"stream", WEB, C "\"stream\":\"wbe\"," E, "STREAM_UNKNOWN:stream"},
        {"stream", WEB, C "\"stream\":1," E, "VALUE_INVALID:stream"},
        {"stream", DOOR, C "\"stream\":\"web\",\"events\":[{\"name\":\"a\"}]}", "VALUE_INVALID:stream"},
        {"door", DOOR | OFF, C "\"events\":[{\"name\":\"a\"}]}", "ok"},
        {"door", DOOR, C E, "VALUE_INVALID:name"},
        {"door", DOOR, C "\"params\":{},\"events\":[{\"name\":\"a\"}]}", "VALUE_INVALID:params"},
        {"dedup_key", WEB, C "\"dedup_key\":\"k\"," E, "ok"},
        {"dedup_key", WEB, C "\"dedup_key\":\"\"," E, "VALUE_OUT_OF_BOUNDS:dedup_key"},
        {"dedup_key", WEB, C "\"dedup_key\":\"~200:k~\"," E, "ok"},
        {"dedup_key", OFF, C "\"dedup_key\":\"~201:k~\"," E, "VALUE_OUT_OF_BOUNDS:dedup_key"},
        {"dedup_key", WEB, C "\"dedup_key\":\"~101:é~\"," E, "VALUE_OUT_OF_BOUNDS:dedup_key"},
        {"dedup_key", WEB, C "\"dedup_key\":7," E, "VALUE_INVALID:dedup_key"},
        {"session_cookie", WEB, C "\"session_cookie\":\"nonsense\"," E, "ok VALUE_INVALID:session_cookie"},
        {"session_cookie", WEB, C "\"session_cookie\":7," E, "ok VALUE_INVALID:session_cookie"},
        {"session_cookie", WEB,
         C "\"session_cookie\":\"GS1.1.5.1\",\"name\":\"a\",\"params\":{\"engagement_time_msec\":1}}", "ok"},
};

/* The first in document order wins; what is missing is found at the end of its object. */
static const struct rule_case order[] = {
        {"first error", WEB, "{\"user_id\":1,\"x\":1}", "VALUE_INVALID:user_id"},
        {"first error", WEB, "{\"x\":1,\"user_id\":1}", "VALUE_INVALID:x"},
        {"first error", WEB, C "\"events\":[{\"params\":{}},{\"name\":\"error\"}]}", "VALUE_REQUIRED:events[0].name"},
        {"first error", WEB, "{\"events\":[{\"name\":\"error\"}]}", "NAME_RESERVED:events[0].name"},
        {"first error", WEB, C "\"name\":\"a\",\"params\":{\"x\":1e999},\"user_id\":1}", "VALUE_INVALID:params.x"},
        {"first error", WEB, C "\"user_id\":1,\"name\":\"a\",\"params\":{\"x\":1e999}}", "VALUE_INVALID:user_id"},
        {"first error", STRICT, C "\"params\":{},\"name\":\"error\"}", "VALUE_REQUIRED:params.session_id"},
        {"first error", STRICT, C "\"name\":\"a\"}", "VALUE_REQUIRED:params.session_id"},
        {"JSON first", WEB, "{\"client_id\":7,\"client_id\":7}", "JSON_INVALID:"},
};

static void stream_names(void **state)
{
	static const struct {
		const char *name;
		bool valid;
	} cases[] = {
	        {"web", true},    {"A", true},      {"Z", true},     {"0", true},    {"9", true},    {"z9", true},
	        {"a_.-Z0", true}, {"a_", true},     {"", false},     {"_a", false},  {".a", false},  {"-a", false},
	        {"/", false},     {":", false},     {"@", false},    {"[", false},   {"`", false},   {"{", false},
	        {"a b", false},   {"a/b", false},   {"a:b", false},  {"a@b", false}, {"a[b", false}, {"a`b", false},
	        {"a{b", false},   {"a$(b)", false}, {"a\nb", false}, {"é", false},   {"aé", false},
	};
	char longest[STREAM_NAME_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (stream_name_is_valid(slice_of(cases[i].name)) != cases[i].valid)
			fail_msg("%s", cases[i].name);
	memset(longest, 'a', sizeof(longest));
	assert_true(stream_name_is_valid((struct slice){longest, STREAM_NAME_MAX}));
	assert_false(stream_name_is_valid((struct slice){longest, STREAM_NAME_MAX + 1}));
	assert_false(stream_name_is_valid((struct slice){"a\0b", 3}));
}

#define TABLE(name)                                                                                                  \
	static void test_##name(void **state)                                                                        \
	{                                                                                                            \
		fixture_run(*state, name, ARRAY_LEN(name));                                                          \
	}
TABLE(ids)
TABLE(members)
TABLE(properties)
TABLE(user_data)
TABLE(addresses)
TABLE(times)
TABLE(shapes)
TABLE(order)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_ids),       cmocka_unit_test(test_members),   cmocka_unit_test(test_properties),
	        cmocka_unit_test(test_user_data), cmocka_unit_test(test_addresses), cmocka_unit_test(test_times),
	        cmocka_unit_test(test_shapes),    cmocka_unit_test(test_order),     cmocka_unit_test(stream_names),
	};

	return cmocka_run_group_tests(tests, fixture_up, fixture_down);
}
