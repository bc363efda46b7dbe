/* sink-ch_errorcode.c: each class of ClickHouse's errors, by codes of its own list.
 * links: sink-ch/errorcode */
#include "sink-ch/errorcode.h"

#include "check.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct {
    uint64_t code;
    const char *name;
    enum errorcode_class class;
} known[] = {
    {46, "UNKNOWN_FUNCTION", ERRORCODE_PERSON},
    {47, "UNKNOWN_IDENTIFIER", ERRORCODE_PERSON},
    {57, "TABLE_ALREADY_EXISTS", ERRORCODE_PERSON},
    {60, "UNKNOWN_TABLE", ERRORCODE_PERSON},
    {62, "SYNTAX_ERROR", ERRORCODE_PERSON},
    {81, "UNKNOWN_DATABASE", ERRORCODE_PERSON},
    {141, "SAMPLING_NOT_SUPPORTED", ERRORCODE_PERSON},
    {450, "BAD_TTL_EXPRESSION", ERRORCODE_PERSON},
    {478, "UNKNOWN_POLICY", ERRORCODE_PERSON},
    {115, "UNKNOWN_SETTING", ERRORCODE_PERSON},
    {164, "READONLY", ERRORCODE_PERSON},
    {180, "THERE_IS_NO_PROFILE", ERRORCODE_PERSON},
    {193, "WRONG_PASSWORD", ERRORCODE_PERSON},
    {452, "SETTING_CONSTRAINT_VIOLATION", ERRORCODE_PERSON},
    {482, "DICTIONARY_ACCESS_DENIED", ERRORCODE_PERSON},
    {497, "ACCESS_DENIED", ERRORCODE_PERSON},
    {516, "AUTHENTICATION_FAILED", ERRORCODE_PERSON},
    {158, "TOO_MANY_ROWS", ERRORCODE_PERSON},
    {163, "TOO_DEEP_PIPELINE", ERRORCODE_PERSON},
    {191, "SET_SIZE_LIMIT_EXCEEDED", ERRORCODE_PERSON},
    {396, "TOO_MANY_ROWS_OR_BYTES", ERRORCODE_PERSON},
    {222, "ADDING_REPLICA_TO_NON_EMPTY_TABLE", ERRORCODE_PERSON},
    {237, "NO_REPLICA_NAME_GIVEN", ERRORCODE_PERSON},
    {342, "METADATA_MISMATCH", ERRORCODE_PERSON},
    {33, "CANNOT_READ_ALL_DATA", ERRORCODE_DATA},
    {70, "CANNOT_CONVERT_TYPE", ERRORCODE_DATA},
    {349, "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN", ERRORCODE_DATA},
    {153, "ILLEGAL_DIVISION", ERRORCODE_DATA},
    {395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO", ERRORCODE_DATA},
    {407, "DECIMAL_OVERFLOW", ERRORCODE_DATA},
    {469, "VIOLATED_CONSTRAINT", ERRORCODE_DATA},
    /* a server that is starting, busy, full or cut off */
    {3, "UNEXPECTED_END_OF_FILE", ERRORCODE_WAIT},
    {76, "CANNOT_OPEN_FILE", ERRORCODE_WAIT},
    {159, "TIMEOUT_EXCEEDED", ERRORCODE_WAIT},
    {173, "CANNOT_ALLOCATE_MEMORY", ERRORCODE_WAIT},
    {198, "DNS_ERROR", ERRORCODE_WAIT},
    {201, "QUOTA_EXPIRED", ERRORCODE_WAIT},
    {202, "TOO_MANY_SIMULTANEOUS_QUERIES", ERRORCODE_WAIT},
    {209, "SOCKET_TIMEOUT", ERRORCODE_WAIT},
    {210, "NETWORK_ERROR", ERRORCODE_WAIT},
    {225, "NO_ZOOKEEPER", ERRORCODE_WAIT},
    {241, "MEMORY_LIMIT_EXCEEDED", ERRORCODE_WAIT},
    {242, "TABLE_IS_READ_ONLY", ERRORCODE_WAIT},
    {243, "NOT_ENOUGH_SPACE", ERRORCODE_WAIT},
    {252, "TOO_MANY_PARTS", ERRORCODE_WAIT},
    {285, "TOO_FEW_LIVE_REPLICAS", ERRORCODE_WAIT},
    {319, "UNKNOWN_STATUS_OF_INSERT", ERRORCODE_WAIT},
    {394, "QUERY_WAS_CANCELLED", ERRORCODE_WAIT},
    {499, "S3_ERROR", ERRORCODE_WAIT},
    {999, "KEEPER_EXCEPTION", ERRORCODE_WAIT},
    /* another worker does the same at this moment */
    {218, "TABLE_IS_DROPPED", ERRORCODE_WAIT},
    {253, "REPLICA_IS_ALREADY_EXIST", ERRORCODE_WAIT},
    {517, "CANNOT_ASSIGN_ALTER", ERRORCODE_WAIT},
    {2999, "of a later version", ERRORCODE_WAIT},
};

int
main(void)
{
    for (size_t i = 0; i < COUNT(known); i++)
        check(errorcode_classify(known[i].code, "") == known[i].class, "%s", known[i].name);
    check(errorcode_classify(252, "Too many partitions for single INSERT block") ==
              ERRORCODE_PARTITIONS,
          "partitions of one insert are no parts of the table");
    check(errorcode_classify(1001, "std: File name too long") == ERRORCODE_PERSON,
          "a name never becomes shorter");
    check(errorcode_classify(225, "Code: 225. DB::Exception: Can't create replicated table without "
                                  "ZooKeeper") == ERRORCODE_PERSON,
          "a server without ZooKeeper never gets one by waiting");
    check(errorcode_classify(225, "Code: 225. DB::Exception: Cannot get ZooKeeper") ==
              ERRORCODE_WAIT,
          "a session with ZooKeeper comes back");
    check(errorcode_is_of_table(60) && errorcode_is_of_table(70) && errorcode_is_of_table(469),
          "a table that is missing, and values that it refuses");
    check(!errorcode_is_of_table(497) && !errorcode_is_of_table(516) &&
              !errorcode_is_of_table(158) && !errorcode_is_of_table(222) &&
              !errorcode_is_of_table(0),
          "rights, limits, replicas and a proxy are no table's");
    return check_done();
}
