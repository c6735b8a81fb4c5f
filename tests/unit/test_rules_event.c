/* test_rules_event.c - each rule about an event at its limit: what is just accepted, what is just not
 *
 * See test_rules_request.c for how the rows read. */
#include "line_fixture.h"

#include "ga4/limits.h"
#include "ga4/rules.h"

#define NAMED(n) "{\"client_id\":\"1.2\",\"name\":" n ",\"params\":{\"session_id\":1,\"engagement_time_msec\":1}}"
#define EVENT(n, p)                                                                                                  \
	"{\"client_id\":\"1.2\",\"name\":\"" n "\",\"params\":{\"session_id\":1,\"engagement_time_msec\":1," p "}}"
#define PARAM(p) EVENT("a", p)
#define ITEMS(i) PARAM("\"items\":[" i "]")
#define ITEM(m) ITEMS("{\"item_id\":\"i\"," m "}")
#define TWO_TIMES(in_params, own)                                                                                    \
	"{\"client_id\":\"1.2\",\"name\":\"a\",\"params\":{\"session_id\":1,\"engagement_time_msec\":1,"             \
	"\"timestamp_micros\":" in_params "},\"timestamp_micros\":" own "}"
#define BARE(p) "{\"client_id\":\"1.2\",\"name\":\"a\",\"params\":{" p "}}"

static const struct rule_case names[] = {
        {"name", WEB, NAMED("\"a\""), "ok"},
        {"name", WEB, NAMED("\"A_9z\""), "ok"},
        {"name", WEB, NAMED("\"~40:a~\""), "ok"},
        {"name", WEB, NAMED("\"~41:a~\""), "NAME_INVALID:name"},
        {"name", OFF, NAMED("\"~41:a~\""), "ok"},
        {"name", WEB, NAMED("\"9a\""), "NAME_INVALID:name"},
        {"name", WEB, NAMED("\"_a\""), "NAME_INVALID:name"},
        {"name", WEB, NAMED("\"a-b\""), "NAME_INVALID:name"},
        {"name", WEB, NAMED("\"a:b\""), "NAME_INVALID:name"},
        {"name", WEB, NAMED("\"a[b\""), "NAME_INVALID:name"},
        {"name", WEB, NAMED("\"a{b\""), "NAME_INVALID:name"},
        {"name", WEB, "{\"params\":{},\"client_id\":\"1.2\",\"name\":7}", "NAME_INVALID:name"},
        {"name", WEB, NAMED("\"caf\u00e9\""), "NAME_INVALID:name"},
        {"name", WEB, NAMED("\"\""), "VALUE_REQUIRED:name"},
        {"name", OFF, NAMED("\"\""), "VALUE_REQUIRED:name"},
        {"name", OFF, NAMED("7"), "NAME_INVALID:name"},
        {"name", OFF, "{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\"},{}]}", "VALUE_REQUIRED:events[1].name"},
        {"reserved on web", WEB, NAMED("\"ad_impression\""), "NAME_RESERVED:name"},
        {"reserved on web", WEB, NAMED("\"in_app_purchase\""), "NAME_RESERVED:name"},
        {"reserved on web", WEB, NAMED("\"screen_view\""), "NAME_RESERVED:name"},
        {"reserved on web", APP | OFF, "{\"app_instance_id\":\"x\",\"name\":\"screen_view\"}", "ok"},
        {"reserved on web", APP,
         "{\"app_instance_id\":\"~32:a~\",\"name\":\"screen_view\",\"params\":{\"session_id\":1,\"engagement_time_"
         "msec\":1}}",
         "ok"},
        {"legal names", WEB, NAMED("\"page_view\""), "ok"},
        {"legal names", WEB, NAMED("\"click\""), "ok"},
        {"legal names", WEB, NAMED("\"scroll\""), "ok"},
        {"legal names", WEB, NAMED("\"view_search_results\""), "ok"},
        {"legal names", WEB, NAMED("\"Error\""), "ok"},
        {"case of a name", WEB, NAMED("\"Purchase\""), "ok NAME_INVALID:name"},
        {"case of a name", WEB, NAMED("\"PAGE_VIEW\""), "ok NAME_INVALID:name"},
        {"case of a name", WEB, NAMED("\"Session_start\""), "ok NAME_INVALID:name"},
        {"case of a name", STRICT, NAMED("\"Sign_Up\""), "NAME_INVALID:name"},
        {"case of a name", WEB, NAMED("\"signUp\""), "ok"},
        {"case of a name", WEB, NAMED("\"My_Event\""), "ok"},
        {"members of an event", WEB, "{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\",\"user_id\":\"u\"}]}",
         "VALUE_INVALID:events[0].user_id"},
        {"members of an event", OFF, "{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\",\"user_id\":\"u\"}]}", "ok"},
        {"both spellings", WEB,
         "{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\",\"timestampMicros\":0,\"timestamp_micros\":0}]}",
         "VALUE_INVALID:events[0].timestamp_micros"},
        {"both spellings", OFF,
         "{\"client_id\":\"1.2\",\"events\":[{\"name\":\"a\",\"timestamp_micros\":0,\"timestampMicros\":0}]}",
         "VALUE_INVALID:events[0].timestampMicros"},
        {"params an object", WEB, "{\"client_id\":\"1.2\",\"name\":\"a\",\"params\":[]}",
         "ok VALUE_INVALID:params VALUE_REQUIRED:params.session_id VALUE_REQUIRED:params.engagement_time_msec"},
        {"params an object", STRICT, "{\"client_id\":\"1.2\",\"name\":\"a\",\"params\":[]}", "VALUE_INVALID:params"},
        {"params an object", WEB, "{\"client_id\":\"1.2\",\"name\":\"a\",\"params\":[1]}", "VALUE_INVALID:params"},
        {"params an object", OFF, "{\"client_id\":\"1.2\",\"name\":\"a\",\"params\":[]}", "ok"},
};

static const struct rule_case params[] = {
        {"25 parameters", WEB, PARAM("~23,\"p$\":1~"), "ok"},
        {"25 parameters", WEB, PARAM("~24,\"p$\":1~"), "ok EXCEEDED_MAX_ENTITIES:params"},
        {"25 parameters", STRICT, PARAM("~24,\"p$\":1~"), "EXCEEDED_MAX_ENTITIES:params"},
        {"25 parameters", WEB | L360, PARAM("~98,\"p$\":1~"), "ok"},
        {"25 parameters", WEB | L360, PARAM("~99,\"p$\":1~"), "ok EXCEEDED_MAX_ENTITIES:params"},
        {"25 parameters", WEB,
         "{\"client_id\":\"1.2\",\"session_cookie\":\"GS1.1.5.1\",\"name\":\"a\",\"params\":{\"engagement_time_"
         "msec\":1,~24,\"p$\":1~}}",
         "ok EXCEEDED_MAX_ENTITIES:params"},
        {"25 parameters", WEB, PARAM("~23,\"p$\":1~,\"n\":null"), "ok VALUE_INVALID:params.n"},
        {"25 parameters", WEB, PARAM("~24,\"p$\":1~,\"n\":null"),
         "ok EXCEEDED_MAX_ENTITIES:params VALUE_INVALID:params.n"},
        {"parameter name", WEB, PARAM("\"~40:a~\":1"), "ok"},
        {"parameter name", WEB, PARAM("\"~41:a~\":1"),
         "ok NAME_INVALID:params.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
        {"parameter name", WEB, PARAM("\"a b\":1"), "ok NAME_INVALID:params.a b"},
        {"parameter name", WEB, PARAM("\"1a\":1"), "ok NAME_INVALID:params.1a"},
        {"parameter name", WEB, PARAM("\"\":1"), "ok NAME_INVALID:params."},
        {"parameter name", WEB, ITEM("\"a-b\":1"), "ok NAME_INVALID:params.items[0].a-b"},
        {"reserved parameters", WEB, PARAM("\"firebase_conversion\":1"),
         "ok NAME_RESERVED:params.firebase_conversion"},
        {"reserved parameters", WEB, PARAM("\"_a\":1"), "ok NAME_RESERVED:params._a"},
        {"reserved parameters", WEB, PARAM("\"firebase_a\":1"), "ok NAME_RESERVED:params.firebase_a"},
        {"reserved parameters", WEB, PARAM("\"ga_session_id\":1"), "ok NAME_RESERVED:params.ga_session_id"},
        {"reserved parameters", WEB, PARAM("\"google_a\":1"), "ok NAME_RESERVED:params.google_a"},
        {"reserved parameters", WEB, PARAM("\"gtag.a\":1"), "ok NAME_RESERVED:params.gtag.a"},
        {"reserved parameters", WEB, PARAM("\"gaa\":1,\"firebase\":1,\"googlea\":1,\"gtaga\":1"), "ok"},
        {"parameter value", WEB, PARAM("\"x\":\"s\",\"y\":1,\"z\":false"), "ok"},
        {"parameter value", WEB, PARAM("\"x\":null"), "ok VALUE_INVALID:params.x"},
        {"parameter value", WEB, PARAM("\"items\":null"), "ok VALUE_INVALID:params.items"},
        {"parameter value", WEB, PARAM("\"items\":[null]"), "ok VALUE_INVALID:params.items[0]"},
        {"parameter value", WEB, PARAM("\"x\":\"a@b.example\""), "ok VALUE_INVALID:params.x"},
        {"parameter value", WEB, PARAM("\"x\":\"a@b.example \""), "ok"},
        {"parameter value", WEB, ITEM("\"x\":\"a@b.example\""), "ok VALUE_INVALID:params.items[0].x"},
        {"time among the parameters", WEB, PARAM("\"timestamp_micros\":1760000000000000"),
         "ok VALUE_INVALID:params.timestamp_micros"},
        {"time among the parameters", STRICT, PARAM("\"timestamp_micros\":1760000000000000"),
         "VALUE_INVALID:params.timestamp_micros"},
        {"time among the parameters", WEB, PARAM("\"timestamp_micros\":1"),
         "TIMESTAMP_EXPIRED:params.timestamp_micros"},
        {"time among the parameters", WEB, PARAM("\"timestamp_micros\":\"yesterday\""),
         "VALUE_INVALID:params.timestamp_micros"},
        {"time among the parameters", OFF, PARAM("\"timestamp_micros\":1"), "ok"},
        {"time among the parameters", WEB, TWO_TIMES("1", "0"), "TIMESTAMP_EXPIRED:params.timestamp_micros"},
        {"time among the parameters", WEB, TWO_TIMES("1", "1760000000000000"),
         "ok VALUE_INVALID:params.timestamp_micros"},
        {"time among the parameters", STRICT, TWO_TIMES("1", "1760000000000000"),
         "VALUE_INVALID:params.timestamp_micros"},
        {"time among the parameters", WEB, TWO_TIMES("1", "\"yesterday\""), "VALUE_INVALID:timestamp_micros"},
        {"parameter value", WEB, PARAM("\"x\":{}"), "ok VALUE_INVALID:params.x"},
        {"parameter value", WEB, PARAM("\"x\":[]"), "ok VALUE_INVALID:params.x"},
        {"parameter value", WEB, ITEM("\"x\":null"), "ok VALUE_INVALID:params.items[0].x"},
        {"string value", WEB, PARAM("\"x\":\"~100:a~\""), "ok"},
        {"string value", WEB, PARAM("\"x\":\"~101:a~\""), "ok VALUE_OUT_OF_BOUNDS:params.x"},
        {"string value", WEB, PARAM("\"x\":\"~100:😀~\""), "ok"},
        {"string value", WEB, PARAM("\"x\":\"~101:😀~\""), "ok VALUE_OUT_OF_BOUNDS:params.x"},
        {"string value", WEB, PARAM("\"x\":\"~50:e\u0301~\""), "ok"},
        {"string value", WEB, PARAM("\"x\":\"a~50:e\u0301~\""), "ok VALUE_OUT_OF_BOUNDS:params.x"},
        {"string value", WEB, PARAM("\"x\":\"~100:\\ud83d\\ude00~\""), "ok"},
        {"string value", WEB, PARAM("\"x\":\"~101:\\u00e9~\""), "ok VALUE_OUT_OF_BOUNDS:params.x"},
        {"string value", WEB | L360, PARAM("\"x\":\"~500:a~\""), "ok"},
        {"string value", WEB | L360, PARAM("\"x\":\"~501:a~\""), "ok VALUE_OUT_OF_BOUNDS:params.x"},
        {"string value", WEB, PARAM("\"page_title\":\"~300:a~\""), "ok"},
        {"string value", WEB, PARAM("\"page_title\":\"~301:a~\""), "ok VALUE_OUT_OF_BOUNDS:params.page_title"},
        {"string value", WEB, PARAM("\"page_referrer\":\"~420:a~\""), "ok"},
        {"string value", WEB, PARAM("\"page_referrer\":\"~421:a~\""), "ok VALUE_OUT_OF_BOUNDS:params.page_referrer"},
        {"string value", WEB, PARAM("\"page_location\":\"~1000:a~\""), "ok"},
        {"string value", WEB, PARAM("\"page_location\":\"~1001:a~\""), "ok VALUE_OUT_OF_BOUNDS:params.page_location"},
        {"string value", WEB, ITEM("\"item_name\":\"~101:a~\""), "ok VALUE_OUT_OF_BOUNDS:params.items[0].item_name"},
        {"string value", OFF, PARAM("\"x\":\"~9999:a~\""), "ok"},
};

static const struct rule_case session[] = {
        {"session_id", WEB, BARE("\"session_id\":\"1700000000\",\"engagement_time_msec\":1"), "ok"},
        {"session_id", WEB, BARE("\"session_id\":0,\"engagement_time_msec\":1"),
         "ok VALUE_INVALID:params.session_id"},
        {"session_id", WEB, BARE("\"session_id\":-1,\"engagement_time_msec\":1"),
         "ok VALUE_INVALID:params.session_id"},
        {"session_id", WEB, BARE("\"session_id\":1.5,\"engagement_time_msec\":1"),
         "ok VALUE_INVALID:params.session_id"},
        {"session_id", WEB, BARE("\"session_id\":\"abc\",\"engagement_time_msec\":1"),
         "ok VALUE_INVALID:params.session_id"},
        {"session_id", WEB, BARE("\"session_id\":true,\"engagement_time_msec\":1"),
         "ok VALUE_INVALID:params.session_id"},
        {"session_id", STRICT, BARE("\"session_id\":\"GS1.1.1700000000.1\",\"engagement_time_msec\":1"), "ok"},
        {"session_id", WEB, BARE("\"session_id\":\"GS1.1.0.1\",\"engagement_time_msec\":1"),
         "ok VALUE_INVALID:params.session_id"},
        {"session_id present", WEB, BARE("\"engagement_time_msec\":1"), "ok VALUE_REQUIRED:params.session_id"},
        {"session_id present", STRICT, BARE("\"engagement_time_msec\":1"), "VALUE_REQUIRED:params.session_id"},
        {"session_id present", WEB, "{\"client_id\":\"1.2\",\"name\":\"a\"}",
         "ok VALUE_REQUIRED:params.session_id VALUE_REQUIRED:params.engagement_time_msec"},
        {"engagement_time_msec", WEB, BARE("\"session_id\":1"), "ok VALUE_REQUIRED:params.engagement_time_msec"},
        {"engagement_time_msec", WEB, BARE("\"session_id\":1,\"engagement_time_msec\":0"),
         "ok VALUE_REQUIRED:params.engagement_time_msec"},
        {"engagement_time_msec", WEB, BARE("\"session_id\":1,\"engagement_time_msec\":\"0\""),
         "ok VALUE_REQUIRED:params.engagement_time_msec"},
        {"engagement_time_msec", WEB, BARE("\"session_id\":1,\"engagement_time_msec\":\"1\""), "ok"},
        {"engagement_time_msec", WEB, BARE("\"session_id\":1,\"engagement_time_msec\":0.5"), "ok"},
        {"engagement_time_msec", WEB, BARE("\"session_id\":1,\"engagement_time_msec\":1e999"),
         "VALUE_INVALID:params.engagement_time_msec"},
        {"debug_mode", WEB, PARAM("\"debug_mode\":true"), "ok"},
        {"debug_mode", WEB, PARAM("\"debug_mode\":1"), "ok"},
        {"debug_mode", WEB, PARAM("\"debug_mode\":false"), "ok VALUE_INVALID:params.debug_mode"},
        {"debug_mode", WEB, PARAM("\"debug_mode\":0"), "ok VALUE_INVALID:params.debug_mode"},
        {"debug_mode", WEB, PARAM("\"debug_mode\":\"true\""), "ok VALUE_INVALID:params.debug_mode"},
        {"debug_mode", WEB, PARAM("\"debug_mode\":1e999"), "VALUE_INVALID:params.debug_mode"},
};

static const struct rule_case money[] = {
        {"numbers", WEB, PARAM("\"value\":9.5,\"currency\":\"EUR\""), "ok"},
        {"numbers", WEB, PARAM("\"value\":\"9.5\",\"currency\":\"EUR\""), "ok VALUE_INVALID:params.value"},
        {"numbers", WEB, PARAM("\"price\":\"x\""), "ok VALUE_INVALID:params.price"},
        {"numbers", WEB, PARAM("\"quantity\":true"), "ok VALUE_INVALID:params.quantity"},
        {"numbers", WEB, PARAM("\"tax\":\"\""), "ok VALUE_INVALID:params.tax"},
        {"numbers", WEB, PARAM("\"shipping\":\"1\""), "ok VALUE_INVALID:params.shipping"},
        {"numbers", WEB, PARAM("\"discount\":\"1\""), "ok VALUE_INVALID:params.discount"},
        {"numbers", WEB, PARAM("\"score\":\"1\""), "ok VALUE_INVALID:params.score"},
        {"numbers", WEB, PARAM("\"level\":\"1\""), "ok VALUE_INVALID:params.level"},
        {"numbers", WEB, PARAM("\"index\":\"1\""), "ok VALUE_INVALID:params.index"},
        {"numbers", WEB,
         PARAM("\"price\":1,\"quantity\":1,\"tax\":1,\"shipping\":1,\"discount\":1,\"score\":1,\"level\":1,\"index\":"
               "1"),
         "ok"},
        {"numbers", WEB, ITEM("\"price\":1,\"quantity\":1,\"discount\":1,\"index\":1"), "ok"},
        {"numbers", WEB, ITEM("\"price\":\"1\""), "ok VALUE_INVALID:params.items[0].price"},
        {"numbers", WEB, ITEM("\"quantity\":\"1\""), "ok VALUE_INVALID:params.items[0].quantity"},
        {"value needs currency", WEB, PARAM("\"value\":1"), "ok VALUE_REQUIRED:params.currency"},
        {"value needs currency", WEB, EVENT("earn_virtual_currency", "\"value\":1"), "ok"},
        {"value needs currency", WEB,
         EVENT("spend_virtual_currency", "\"value\":1,\"virtual_currency_name\":\"gem\""), "ok"},
        {"currency", WEB, PARAM("\"currency\":\"usd\""), "ok"},
        {"currency", WEB, PARAM("\"currency\":\"EU\""), "ok VALUE_INVALID:params.currency"},
        {"currency", WEB, PARAM("\"currency\":\"EURO\""), "ok VALUE_INVALID:params.currency"},
        {"currency", WEB, PARAM("\"currency\":\"E1R\""), "ok VALUE_INVALID:params.currency"},
        {"currency", WEB, PARAM("\"currency\":\"EU[\""), "ok VALUE_INVALID:params.currency"},
        {"currency", WEB, PARAM("\"currency\":\"eu{\""), "ok VALUE_INVALID:params.currency"},
        {"currency", WEB, PARAM("\"currency\":978"), "ok VALUE_INVALID:params.currency"},
        {"currency", WEB, ITEM("\"currency\":\"x\""), "ok VALUE_INVALID:params.items[0].currency"},
        {"empty transaction_id", WEB, EVENT("purchase", "\"transaction_id\":\"\",\"items\":[]"),
         "ok VALUE_INVALID:params.transaction_id"},
        {"empty transaction_id", WEB, EVENT("purchase", "\"transaction_id\":\"T\",\"items\":[]"), "ok"},
        {"empty transaction_id", WEB, EVENT("purchase", "\"transaction_id\":7,\"items\":[]"), "ok"},
        {"empty transaction_id", WEB, EVENT("refund", "\"transaction_id\":\"\""), "ok"},
};

static const struct rule_case items[] = {
        {"items", WEB, ITEMS("{\"item_id\":\"i\"}"), "ok"},
        {"items", WEB, ITEMS("{\"item_name\":\"n\"}"), "ok"},
        {"items", WEB, ITEMS("{\"item_id\":\"\",\"item_name\":\"n\"}"), "ok"},
        {"items", WEB, ITEMS("{\"item_id\":7}"), "ok"},
        {"items", WEB, ITEMS("{\"item_id\":{}}"),
         "ok VALUE_INVALID:params.items[0].item_id VALUE_REQUIRED:params.items[0].item_id"},
        {"items", WEB, ITEMS("{\"item_id\":\"\"}"), "ok VALUE_REQUIRED:params.items[0].item_id"},
        {"items", WEB, ITEMS("{\"item_id\":\"i\"},{}"), "ok VALUE_REQUIRED:params.items[1].item_id"},
        {"items", WEB, ITEMS("{\"item_id\":null,\"item_name\":\"n\"}"), "ok VALUE_INVALID:params.items[0].item_id"},
        {"items", WEB, ITEMS("{\"item_id\":\"i\"},7"), "ok VALUE_INVALID:params.items[1]"},
        {"items", WEB, PARAM("\"items\":{}"), "ok VALUE_INVALID:params.items"},
        {"200 items", WEB, ITEMS("~200,{\"item_id\":\"$\"}~"), "ok"},
        {"200 items", WEB, ITEMS("~201,{\"item_id\":\"$\"}~"), "ok EXCEEDED_MAX_ENTITIES:params.items"},
        {"custom item parameters", WEB, ITEM("~10,\"c$\":1~"), "ok"},
        {"custom item parameters", WEB, ITEM("~11,\"c$\":1~"), "ok EXCEEDED_MAX_ENTITIES:params.items[0]"},
        {"standard item members", WEB,
         ITEM("\"item_name\":\"a\",\"affiliation\":\"a\",\"coupon\":\"a\",\"discount\":1,\"index\":1,\"item_brand\":"
              "\"a\","
              "\"item_category\":\"a\",\"item_category2\":\"a\",\"item_category3\":\"a\",\"item_category4\":\"a\","
              "\"item_category5\":\"a\",\"item_list_id\":\"a\",\"item_list_name\":\"a\",\"item_variant\":\"a\","
              "\"location_id\":\"a\","
              "\"price\":1,\"quantity\":1,\"creative_name\":\"a\",\"creative_slot\":\"a\",\"promotion_id\":\"a\","
              "\"promotion_name\":\"a\",\"currency\":\"EUR\",~10,\"c$\":1~"),
         "ok"},
};

/* What standard only warns of, strict refuses: the first of them ends the line. */
static const struct rule_case strict[] = {
        {"parameter name", STRICT, PARAM("\"a b\":1"), "NAME_INVALID:params.a b"},
        {"parameter value", STRICT, PARAM("\"x\":null"), "VALUE_INVALID:params.x"},
        {"parameter value", STRICT, PARAM("\"x\":\"a@b.example\""), "VALUE_INVALID:params.x"},
        {"parameter value", STRICT, ITEM("\"x\":null"), "VALUE_INVALID:params.items[0].x"},
        {"string value", STRICT, PARAM("\"x\":\"~101:a~\""), "VALUE_OUT_OF_BOUNDS:params.x"},
        {"numbers", STRICT, PARAM("\"value\":\"1\""), "VALUE_INVALID:params.value"},
        {"currency", STRICT, PARAM("\"currency\":\"EU\""), "VALUE_INVALID:params.currency"},
        {"session_id", STRICT, BARE("\"session_id\":0"), "VALUE_INVALID:params.session_id"},
        {"engagement_time_msec", STRICT, BARE("\"engagement_time_msec\":0"),
         "VALUE_REQUIRED:params.engagement_time_msec"},
        {"debug_mode", STRICT, PARAM("\"debug_mode\":0"), "VALUE_INVALID:params.debug_mode"},
        {"items", STRICT, ITEMS("{}"), "VALUE_REQUIRED:params.items[0].item_id"},
        {"items", STRICT, ITEMS("7"), "VALUE_INVALID:params.items[0]"},
        {"200 items", STRICT, ITEMS("~201,{\"item_id\":\"$\"}~"), "EXCEEDED_MAX_ENTITIES:params.items"},
        {"custom item parameters", STRICT, ITEM("\"a-b\":1"), "NAME_INVALID:params.items[0].a-b"},
        {"custom item parameters", STRICT, ITEM("~11,\"c$\":1~"), "EXCEEDED_MAX_ENTITIES:params.items[0]"},
};

#define TABLE(name)                                                                                                  \
	static void test_##name(void **state)                                                                        \
	{                                                                                                            \
		fixture_run(*state, name, ARRAY_LEN(name));                                                          \
	}
TABLE(names)
TABLE(params)
TABLE(session)
TABLE(money)
TABLE(items)
TABLE(strict)

/* Every reserved name is refused, in standard and strict; off lets it pass. */
static void reserved_names(void **state)
{
	static const char *const reserved[] = {"ad_activeview",
	                                       "ad_click",
	                                       "ad_exposure",
	                                       "ad_query",
	                                       "ad_reward",
	                                       "adunit_exposure",
	                                       "app_clear_data",
	                                       "app_exception",
	                                       "app_install",
	                                       "app_remove",
	                                       "app_store_refund",
	                                       "app_update",
	                                       "app_upgrade",
	                                       "dynamic_link_app_open",
	                                       "dynamic_link_app_update",
	                                       "dynamic_link_first_open",
	                                       "error",
	                                       "firebase_campaign",
	                                       "firebase_in_app_message_action",
	                                       "firebase_in_app_message_dismiss",
	                                       "firebase_in_app_message_impression",
	                                       "first_open",
	                                       "first_visit",
	                                       "notification_dismiss",
	                                       "notification_foreground",
	                                       "notification_open",
	                                       "notification_receive",
	                                       "notification_send",
	                                       "os_update",
	                                       "session_start",
	                                       "user_engagement"};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
		char line[256];

		snprintf(line, sizeof(line), "{\"client_id\":\"1.2\",\"events\":[{\"name\":\"%s\"}]}", reserved[i]);
		fixture_set(f, WEB);
		assert_string_equal(fixture_read(f, line), "NAME_RESERVED:events[0].name");
		assert_non_null(strstr(f->result.refusal.message, reserved[i]));
		fixture_set(f, OFF);
		assert_string_equal(fixture_read(f, line), "ok");
	}
}

struct required_case {
	const char *event, *missing; /* all that it needs, in the order told */
	const char *params;          /* that satisfy it */
};

static void required_parameters(void **state)
{
	static const char items_given[] = ",\"items\":[]";
	static const struct required_case cases[] = {
	        {"add_payment_info", " VALUE_REQUIRED:params.items", items_given},
	        {"add_shipping_info", " VALUE_REQUIRED:params.items", items_given},
	        {"add_to_cart", " VALUE_REQUIRED:params.items", items_given},
	        {"add_to_wishlist", " VALUE_REQUIRED:params.items", items_given},
	        {"begin_checkout", " VALUE_REQUIRED:params.items", items_given},
	        {"remove_from_cart", " VALUE_REQUIRED:params.items", items_given},
	        {"select_item", " VALUE_REQUIRED:params.items", items_given},
	        {"view_cart", " VALUE_REQUIRED:params.items", items_given},
	        {"view_item", " VALUE_REQUIRED:params.items", items_given},
	        {"view_item_list", " VALUE_REQUIRED:params.items", items_given},
	        {"purchase", " VALUE_REQUIRED:params.items VALUE_REQUIRED:params.transaction_id",
	         ",\"items\":[],\"transaction_id\":\"T\""},
	        {"refund", " VALUE_REQUIRED:params.transaction_id", ",\"transaction_id\":\"T\""},
	        {"post_score", " VALUE_REQUIRED:params.score", ",\"score\":1"},
	        {"search", " VALUE_REQUIRED:params.search_term", ",\"search_term\":\"x\""},
	        {"spend_virtual_currency", " VALUE_REQUIRED:params.value VALUE_REQUIRED:params.virtual_currency_name",
	         ",\"value\":1,\"virtual_currency_name\":\"gem\""},
	        {"unlock_achievement", " VALUE_REQUIRED:params.achievement_id", ",\"achievement_id\":\"x\""},
	        {"login", "", ""},
	};
	struct fixture *f = *state;

	fixture_set(f, WEB);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char line[512], wanted[256];
		static const char *const format = "{\"params\":{\"session_id\":1,\"engagement_time_msec\":1%s},"
		                                  "\"client_id\":\"1.2\",\"name\":\"%s\"}";

		snprintf(line, sizeof(line), format, "", cases[i].event);
		snprintf(wanted, sizeof(wanted), "ok%s", cases[i].missing);
		assert_string_equal(fixture_read(f, line), wanted);
		snprintf(line, sizeof(line), format, cases[i].params, cases[i].event);
		assert_string_equal(fixture_read(f, line), "ok");
	}
}

/* What GA4 does not take for an item's id is said where it stands. */
static void unidentified_items(void **state)
{
	static const struct {
		const char *item;
		bool other;
	} cases[] = {
	        {"{}", false},
	        {"{\"x\":1}", false},
	        {"{\"id\":1}", true},
	        {"{\"name\":\"n\"}", true},
	};
	struct fixture *f = *state;
	char line[256];

	fixture_set(f, STRICT);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(line, sizeof(line), PARAM("\"items\":[%s]"), cases[i].item);
		assert_string_equal(fixture_read(f, line), "VALUE_REQUIRED:params.items[0].item_id");
		assert_int_equal(strstr(f->result.refusal.message, "does not take id and name") != NULL,
		                 cases[i].other);
	}
}

/* Only of a name that may be an event's. */
static void names_by_case(void **state)
{
	static struct rules rules;
	char longest[LIMIT_EVENT_NAME_CHARS + 1];

	(void)state;
	rules_init(&rules);
	memset(longest, 'A', sizeof(longest));
	assert_string_equal(rules_event_by_case(&rules, SLICE_LIT("PURCHASE")), "purchase");
	assert_null(rules_event_by_case(&rules, (struct slice){longest, sizeof(longest) - 1}));
	assert_null(rules_event_by_case(&rules, (struct slice){longest, sizeof(longest)}));
}

/* The indexes find each name of each table, and nothing else. */
/* A name that differs in one byte, wherever, is another. */
static void assert_no_name_but(const struct name_index *x, struct slice name, int row)
{
	char other[64];

	for (size_t at = 0; at < name.n; at++) {
		memcpy(other, name.p, name.n);
		other[at] ^= 0x40;
		assert_int_not_equal(name_index_find(x, (struct slice){other, name.n}), row);
	}
}

static void tables_find_their_names(void **state)
{
	static struct rules rules;
	const struct name_index *indexes[] = {&rules.root,    &rules.param,     &rules.event,
	                                      &rules.item,    &rules.location,  &rules.device,
	                                      &rules.consent, &rules.user_data, &rules.address};

	(void)state;
	rules_init(&rules);
	for (size_t i = 0; i < ARRAY_LEN(indexes); i++) {
		assert_true(indexes[i]->n <= NAME_ROWS_MAX);
		for (size_t row = 0; row < indexes[i]->n; row++) {
			const struct slice *name =
			        (const struct slice *)(const void *)(indexes[i]->rows + row * indexes[i]->stride);

			assert_true(name->n > 0);
			assert_int_equal(name_index_find(indexes[i], *name), (int)row);
			assert_no_name_but(indexes[i], *name, (int)row);
			assert_int_equal(
			        name_index_find(indexes[i], (struct slice){name->p, name->n - 1}) == (int)row, false);
		}
		assert_int_equal(name_index_find(indexes[i], SLICE_LIT("")), -1);
		assert_int_equal(name_index_find(indexes[i], SLICE_LIT("nothing_like_it")), -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_names),
	        cmocka_unit_test(test_params),
	        cmocka_unit_test(test_session),
	        cmocka_unit_test(test_money),
	        cmocka_unit_test(test_items),
	        cmocka_unit_test(test_strict),
	        cmocka_unit_test(reserved_names),
	        cmocka_unit_test(required_parameters),
	        cmocka_unit_test(unidentified_items),
	        cmocka_unit_test(names_by_case),
	        cmocka_unit_test(tables_find_their_names),
	};

	return cmocka_run_group_tests(tests, fixture_up, fixture_down);
}
