//! `numeric_attribute`

use super::{
    Asked, Asking, Asks, CompileError, Compiler, Expression, Matching, PolicyKind, PolicyType,
    found,
};
use crate::options::{boolean, name, options, whole};
use crate::sampling::policy::attribute::AttributeTest;

options! {
    /// Keeps a trace if its resource or a span has the attribute with a whole number in a range. One
    /// bound is enough.
    pub struct NumericAttribute {
        /// The attribute.
        key: String = name().required("http.response.status_code"),
        /// The least value that matches.
        min_value: Option<i64> = whole(i64::MIN..=i64::MAX).optional(),
        /// The greatest value that matches.
        max_value: Option<i64> = whole(i64::MIN..=i64::MAX).optional(),
        /// Negates the answer.
        invert_match: bool = boolean().or("false"),
    }
    then |section| { section.need_either(["min_value", "max_value"], "min_value: 500") }
}

impl NumericAttribute {
    fn bounds(&self) -> (i64, i64) {
        (self.min_value.unwrap_or(i64::MIN), self.max_value.unwrap_or(i64::MAX))
    }
}

impl PolicyType for NumericAttribute {
    fn compile(&self, compiler: &mut Compiler) -> Result<Asking, CompileError> {
        let (least, most) = self.bounds();
        let test = AttributeTest::Within(least..=most);
        compiler.fact(|predicates| predicates.attribute(&self.key, test), self.invert_match)
    }

    fn reason(&self, expression: &Expression, asked: &mut Asked<'_>) -> String {
        let least = self.min_value.map_or_else(String::new, |least| format!("{least} <= "));
        let most = self.max_value.map_or_else(String::new, |most| format!(" <= {most}"));
        found(expression, asked, self.invert_match, &format!("{least}{}{most}", self.key))
    }

    fn matching(&self, _: &[Matching]) -> Matching {
        let (least, most) = self.bounds();
        match self.invert_match {
            _ if least <= most => Matching::Sometimes,
            true => Matching::Always,
            false => {
                let why = format!("max_value {most} is below min_value {least}");
                Matching::never("max_value", why)
            }
        }
    }

    fn covers(&self, other: &PolicyKind) -> bool {
        let PolicyKind::NumericAttribute(other) = other else { return false };
        let ((least, most), (other_least, other_most)) = (self.bounds(), other.bounds());
        let is_within = least <= other_least && other_most <= most;
        let is_plain = !self.invert_match && !other.invert_match;
        self == other || (is_plain && self.key == other.key && is_within)
    }

    fn asks(&self) -> Vec<Asks<'_>> {
        vec![Asks::Attribute { key: &self.key, is_inverted: self.invert_match }]
    }
}
