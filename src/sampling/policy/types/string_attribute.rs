//! `string_attribute`

use super::{
    Asked, Asking, Asks, CompileError, Compiler, Expression, Matching, PolicyKind, PolicyType,
    found,
};
use crate::options::{boolean, name, options, split_by_commas, text};
use crate::sampling::ottl;
use crate::sampling::policy::attribute::AttributeTest;
use crate::sampling::policy::texts;

options! {
    /// Keeps a trace if its resource or a span has the attribute with one of the values.
    pub struct StringAttribute {
        /// The attribute.
        key: String = name().required("http.route"),
        /// The values, or regular expressions.
        values: Vec<String> = split_by_commas(text()).some("[/checkout]"),
        /// True if the values are regular expressions, in RE2 syntax, unanchored.
        enabled_regex_matching: bool = boolean().or("false"),
        /// Negates the answer.
        invert_match: bool = boolean().or("false"),
    }
    then |section| {
        section.take_without_meaning(&[("cache_max_size", "no answers are cached")]);
        if enabled_regex_matching {
            texts::check_patterns(section, "values");
        }
    }
}

impl PolicyType for StringAttribute {
    fn compile(&self, compiler: &mut Compiler) -> Result<Asking, CompileError> {
        let test = if self.enabled_regex_matching {
            let expressions = ottl::compile_patterns(&self.values);
            AttributeTest::Matches(expressions.map_err(|reason| compiler.bad_regex(reason))?)
        } else {
            let values = self.values.iter().map(|value| value.as_bytes().into());
            AttributeTest::OneOf(values.collect())
        };
        compiler.fact(|predicates| predicates.attribute(&self.key, test), self.invert_match)
    }

    fn reason(&self, expression: &Expression, asked: &mut Asked<'_>) -> String {
        let verb = if self.enabled_regex_matching { "matching" } else { "of" };
        let what = format!("{} {verb} {}", self.key, self.values.join(", "));
        found(expression, asked, self.invert_match, &what)
    }

    fn matching(&self, _: &[Matching]) -> Matching {
        Matching::Sometimes
    }

    fn covers(&self, other: &PolicyKind) -> bool {
        let PolicyKind::StringAttribute(other) = other else { return false };
        let is_plain = |it: &Self| !it.enabled_regex_matching && !it.invert_match;
        let has = |value| self.values.contains(value);
        let contains = is_plain(self) && is_plain(other) && self.key == other.key;
        self == other || (contains && other.values.iter().all(has))
    }

    fn asks(&self) -> Vec<Asks<'_>> {
        vec![Asks::Attribute { key: &self.key, is_inverted: self.invert_match }]
    }
}
