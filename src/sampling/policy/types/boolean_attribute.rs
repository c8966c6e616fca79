//! `boolean_attribute`

use super::{
    Asked, Asking, Asks, CompileError, Compiler, Expression, Matching, PolicyKind, PolicyType,
    found,
};
use crate::options::{boolean, name, options};
use crate::sampling::policy::attribute::AttributeTest;

options! {
    /// Keeps a trace if its resource or a span has the attribute with this boolean.
    pub struct BooleanAttribute {
        /// The attribute.
        key: String = name().required("feature.new_checkout"),
        /// What it has to be.
        value: bool = boolean().or("false"),
        /// Negates the answer.
        invert_match: bool = boolean().or("false"),
    }
}

impl PolicyType for BooleanAttribute {
    fn compile(&self, compiler: &mut Compiler) -> Result<Asking, CompileError> {
        let test = AttributeTest::Is(self.value);
        compiler.fact(|predicates| predicates.attribute(&self.key, test), self.invert_match)
    }

    fn reason(&self, expression: &Expression, asked: &mut Asked<'_>) -> String {
        found(expression, asked, self.invert_match, &format!("{} {}", self.key, self.value))
    }

    fn matching(&self, _: &[Matching]) -> Matching {
        Matching::Sometimes
    }

    fn covers(&self, other: &PolicyKind) -> bool {
        matches!(other, PolicyKind::BooleanAttribute(other) if self == other)
    }

    fn asks(&self) -> Vec<Asks<'_>> {
        vec![Asks::Attribute { key: &self.key, is_inverted: self.invert_match }]
    }
}
