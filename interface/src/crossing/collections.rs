//! Types that are made of other types.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::mem::ManuallyDrop;

use abi_stable::std_types::{RBox, ROption, RVec, Tuple2, Tuple3, Tuple4};

use super::{Crossing, Shape, Types};
use crate::Error;

/// Reads a value as one of a type with the same layout and the same values.
///
/// # Safety
///
/// That the types are such.
unsafe fn reread<A, B>(value: A) -> B {
    const { assert!(size_of::<A>() == size_of::<B>() && align_of::<A>() == align_of::<B>()) };
    let value = ManuallyDrop::new(value);
    // SAFETY: the caller's promise; the value is not used again.
    unsafe { (&raw const value).cast::<B>().read() }
}

/// Elements one by one.
fn each_into<T: Crossing>(
    length: usize,
    items: impl Iterator<Item = T>,
) -> Result<RVec<T::Abi>, Error> {
    let mut crossing = RVec::with_capacity(length);
    for item in items {
        crossing.push(item.into_abi()?);
    }
    Ok(crossing)
}

// SAFETY: the promise of `RVec`, whose layout is not that of its elements'.
unsafe impl<T: Crossing> Crossing for Vec<T> {
    type Abi = RVec<T::Abi>;
    const SAME: bool = false;

    fn into_abi(self) -> Result<Self::Abi, Error> {
        if T::SAME {
            // SAFETY: `SAME` says that the elements are the same, and so are two
            // `RVec`s of them, which hold a pointer to them.
            return Ok(unsafe { reread::<RVec<T>, RVec<T::Abi>>(self.into()) });
        }
        each_into(self.len(), self.into_iter())
    }

    /// Copies what another library has allocated.
    fn from_abi(abi: Self::Abi) -> Result<Self, Error> {
        if T::SAME {
            // SAFETY: as above.
            return Ok(unsafe { reread::<RVec<T::Abi>, RVec<T>>(abi) }.into());
        }
        abi.into_iter().map(T::from_abi).collect()
    }

    fn describe(types: &mut Types) -> String {
        list::<T, Self>(types)
    }
}

// SAFETY: as above.
unsafe impl<T: Crossing> Crossing for RVec<T> {
    type Abi = RVec<T::Abi>;
    const SAME: bool = false;

    fn into_abi(self) -> Result<Self::Abi, Error> {
        Vec::from(self).into_abi()
    }

    fn from_abi(abi: Self::Abi) -> Result<Self, Error> {
        Vec::from_abi(abi).map(Self::from)
    }

    fn describe(types: &mut Types) -> String {
        list::<T, Self>(types)
    }
}

fn list<T: Crossing, L: Crossing>(types: &mut Types) -> String {
    let of = T::describe(types);
    types.add::<L::Abi>(&format!("Vec<{of}>"), |_| Shape::List { of })
}

// SAFETY: `ROption` is `repr(u8)`, of the part's `Abi`.
unsafe impl<T: Crossing> Crossing for Option<T> {
    type Abi = ROption<T::Abi>;
    const SAME: bool = false;

    #[inline]
    fn into_abi(self) -> Result<Self::Abi, Error> {
        self.map(T::into_abi).transpose().map(Into::into)
    }

    #[inline]
    fn from_abi(abi: Self::Abi) -> Result<Self, Error> {
        abi.into_option().map(T::from_abi).transpose()
    }

    fn describe(types: &mut Types) -> String {
        let of = T::describe(types);
        types.add::<Self::Abi>(&format!("Option<{of}>"), |_| Shape::Optional { of })
    }
}

// SAFETY: `RBox` has its functions with it and a pointer to the part's `Abi`.
unsafe impl<T: Crossing> Crossing for Box<T> {
    type Abi = RBox<T::Abi>;
    const SAME: bool = false;

    fn into_abi(self) -> Result<Self::Abi, Error> {
        if T::SAME {
            // SAFETY: as for `Vec`.
            return Ok(unsafe { reread::<RBox<T>, RBox<T::Abi>>(RBox::from_box(self)) });
        }
        Ok(RBox::new((*self).into_abi()?))
    }

    fn from_abi(abi: Self::Abi) -> Result<Self, Error> {
        Ok(Self::new(T::from_abi(RBox::into_inner(abi))?))
    }

    fn describe(types: &mut Types) -> String {
        boxed::<T, Self>(types)
    }
}

// SAFETY: as above.
unsafe impl<T: Crossing> Crossing for RBox<T> {
    type Abi = RBox<T::Abi>;
    const SAME: bool = false;

    fn into_abi(self) -> Result<Self::Abi, Error> {
        Box::new(Self::into_inner(self)).into_abi()
    }

    fn from_abi(abi: Self::Abi) -> Result<Self, Error> {
        Ok(Self::new(T::from_abi(RBox::into_inner(abi))?))
    }

    fn describe(types: &mut Types) -> String {
        boxed::<T, Self>(types)
    }
}

fn boxed<T: Crossing, B: Crossing>(types: &mut Types) -> String {
    let of = T::describe(types);
    types.add::<B::Abi>(&format!("Box<{of}>"), |_| Shape::Boxed { of })
}

macro_rules! as_list {
    ($name:literal, $set:ty, $item:ident: $($bound:path),*) => {
        // SAFETY: the promise of `RVec`.
        unsafe impl<$item: Crossing $(+ $bound)*> Crossing for $set {
            type Abi = RVec<$item::Abi>;
            const SAME: bool = false;

            fn into_abi(self) -> Result<Self::Abi, Error> {
                each_into(self.len(), self.into_iter())
            }

            fn from_abi(abi: Self::Abi) -> Result<Self, Error> {
                abi.into_iter().map($item::from_abi).collect()
            }

            fn describe(types: &mut Types) -> String {
                let of = $item::describe(types);
                types.add::<Self::Abi>(&format!(concat!($name, "<{}>"), of), |_| Shape::List { of })
            }
        }
    };
}

as_list!("Set", HashSet<T>, T: Eq, Hash);
as_list!("Set", BTreeSet<T>, T: Ord);

macro_rules! as_pairs {
    ($map:ty, $($bound:path),*) => {
        // SAFETY: the promise of `RVec`, and of `Tuple2`, which is `repr(C)`.
        unsafe impl<K: Crossing $(+ $bound)*, V: Crossing> Crossing for $map {
            type Abi = RVec<Tuple2<K::Abi, V::Abi>>;
            const SAME: bool = false;

            fn into_abi(self) -> Result<Self::Abi, Error> {
                each_into(self.len(), self.into_iter())
            }

            fn from_abi(abi: Self::Abi) -> Result<Self, Error> {
                abi.into_iter().map(<(K, V)>::from_abi).collect()
            }

            fn describe(types: &mut Types) -> String {
                let (key, value) = (K::describe(types), V::describe(types));
                let name = format!("Map<{key}, {value}>");
                types.add::<Self::Abi>(&name, |_| Shape::Map { key, value })
            }
        }
    };
}

as_pairs!(HashMap<K, V>, Eq, Hash);
as_pairs!(BTreeMap<K, V>, Ord);

macro_rules! as_tuple {
    ($tuple:ident: $($part:ident $at:tt),*) => {
        // SAFETY: `repr(C)`, of the parts' `Abi`s.
        unsafe impl<$($part: Crossing),*> Crossing for ($($part,)*) {
            type Abi = $tuple<$($part::Abi),*>;
            const SAME: bool = false;

            #[inline]
            fn into_abi(self) -> Result<Self::Abi, Error> {
                Ok($tuple($(self.$at.into_abi()?),*))
            }

            #[inline]
            fn from_abi(abi: Self::Abi) -> Result<Self, Error> {
                Ok(($($part::from_abi(abi.$at)?,)*))
            }

            fn describe(types: &mut Types) -> String {
                let of = vec![$($part::describe(types)),*];
                types.add::<Self::Abi>(&format!("({})", of.join(", ")), |_| Shape::Tuple { of })
            }
        }
    };
}

as_tuple!(Tuple2: A 0, B 1);
as_tuple!(Tuple3: A 0, B 1, C 2);
as_tuple!(Tuple4: A 0, B 1, C 2, D 3);
