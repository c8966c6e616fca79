//! The Collector's functions that conditions here do not have, and why.

/// Functions that change what they are given (`ottlfuncs.StandardFuncs`).
const EDITORS: [&str; 18] = [
    "append",
    "clear",
    "delete_index",
    "delete_key",
    "delete_matching_keys",
    "flatten",
    "keep_keys",
    "keep_matching_keys",
    "limit",
    "merge_maps",
    "replace_all_matches",
    "replace_all_patterns",
    "replace_match",
    "replace_pattern",
    "set",
    "stringify_all",
    "truncate_all",
    "drop",
];

/// True for the name of a function that changes what it is given.
pub(in crate::sampling::ottl) fn is_editor(name: &str) -> bool {
    EDITORS.contains(&name)
}

/// Why a function of the Collector is none here.
pub(in crate::sampling::ottl) fn why_refused(name: &str) -> Option<&'static str> {
    Some(match name {
        "Now" => {
            "it reads the wall clock, and a decision has to be the same when the records are read \
             again: compare the times of spans with each other"
        }
        "UUID" | "UUIDv7" => {
            "it is different every time, and a decision has to be the same when the records are \
             read again: for a share of the traces use `probabilistic`"
        }
        "All" | "Any" | "Filter" | "Find" | "MapEach" | "MapKeys" | "Reduce" | "When"
        | "ToValidUTF8" => "it is experimental, and the Collector refuses it, too, by default",
        "HasAttrOnDatapoint" | "HasAttrKeyOnDatapoint" => "it is about metrics",
        "ProfileID" => "it is about profiles",
        "ParseSeverity" => "it is about logs",
        "Append" | "DeleteIndex" | "SliceToMap" | "Sort" => {
            "it rearranges a list: ask for what is in it by `ContainsValue`, `Index` or `[0]`"
        }
        "Format" | "FormatTime" | "ToKeyValueString" | "Base64Encode" => {
            "it makes a text to be kept, and a condition keeps none: compare the values"
        }
        "ConvertAttributesToElementsXML"
        | "ConvertTextToElementsXML"
        | "GetXML"
        | "InsertXML"
        | "ParseSimplifiedXML"
        | "ParseXML"
        | "RemoveXML" => "XML is not read here: match the text by `IsMatch`",
        "CommunityID" | "MD5" | "Murmur3Hash" | "Murmur3Hash128" | "SHA1" | "SHA256" | "SHA512"
        | "XXH3" | "XXH128" => {
            "of the hashes there is `FNV`; for a share of the traces use `probabilistic`"
        }
        "URL" | "UserAgent" | "ParseCSV" | "ParseKeyValue" | "ExtractGrokPatterns" | "Decode" => {
            "match the text by `IsMatch`, or take it apart by `ExtractPatterns`, `Split` or `Index`"
        }
        "IsValidLuhn" | "Log" => "nothing is sampled by it",
        _ => return None,
    })
}
