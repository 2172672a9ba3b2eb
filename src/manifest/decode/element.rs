//! The type that a typed list wants its elements to have.

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::error::DecodeError;

/// Learns the type that the elements of a list should have: the one that the list asks for.
///
/// It yields no element, so that the list ends up empty.
pub(super) struct ElementType<'a>(pub(super) &'a mut String);

impl<'de> SeqAccess<'de> for ElementType<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        if let Err(DecodeError(name)) = seed.deserialize(ElementProbe) {
            *self.0 = name;
        }
        Ok(None)
    }
}

struct ElementProbe;

impl<'de> Deserializer<'de> for ElementProbe {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DecodeError> {
        Err(DecodeError("string".to_owned()))
    }

    fn deserialize_i32<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DecodeError> {
        Err(DecodeError("int32".to_owned()))
    }

    fn deserialize_i64<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DecodeError> {
        Err(DecodeError("int64".to_owned()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, DecodeError> {
        Err(DecodeError(format!("v1.{name}")))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
